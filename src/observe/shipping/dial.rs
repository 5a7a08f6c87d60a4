//! Connections to receivers: TCP, or TLS over it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::NotTaken;

/// Where a receiver listens, and whom to believe there.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Name or address, without the brackets of IPv6.
    pub host: String,
    /// Port.
    pub port: u16,
    /// For TLS, which then is a must; `None` = in the clear.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Dial {
    /// Connects, and shakes hands if there is TLS.
    pub(super) async fn connect(&self) -> Result<Stream, NotTaken> {
        let stream = self.tcp().await?;
        self.secure(stream).await
    }

    /// The bare connection.
    pub(super) async fn tcp(&self) -> Result<TcpStream, NotTaken> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// TLS over `stream`, if there is TLS.
    pub(super) async fn secure(&self, stream: TcpStream) -> Result<Stream, NotTaken> {
        let Some(config) = &self.tls else {
            return Ok(Stream::Plain(stream));
        };
        let name = rustls_pki_types::ServerName::try_from(self.host.clone())
            .map_err(|_| NotTaken("the host is no name for TLS".into()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await?;
        Ok(Stream::Tls(Box::new(stream)))
    }
}

/// A connection.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
