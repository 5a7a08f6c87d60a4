//! The client side: accepts connections, speaks TLS and HTTP, and drains.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::config::{TlsFiles, millis};

use super::carrier::Carrier;
use super::exchange::exchange;
use super::strict_head::StrictIo;

/// Pause after an accept that failed for want of resources.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Reads certificate and key.
///
/// # Errors
/// A file that cannot be read, or a pair that does not fit.
pub fn tls(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let named = |path: &std::path::Path, error: &dyn std::fmt::Display| {
        io::Error::other(format!("{}: {error}", path.display()))
    };
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| named(&files.certificate, &e))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| named(&files.key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|e| named(&files.certificate, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves `listener` until `stop`, then drains: no new connections, those that are open finish what they have begun
/// within `limits.drain_ms`, or until `now` cuts that short. Returns whether all of them finished.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    carrier: Arc<Carrier>,
    stop: impl Future<Output = ()>,
    now: impl Future<Output = ()>,
) -> bool {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(carrier.settings.limits.connections_max));
    let mut tasks = tokio::task::JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "accept failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            carrier.metrics.connection_refused();
            continue;
        };
        let (carrier, tls, watcher) = (Arc::clone(&carrier), tls.clone(), graceful.watcher());
        tasks.spawn(async move {
            let _slot = slot;
            carrier.metrics.connections.inc();
            connection(tcp, peer, tls, &carrier, watcher).await;
            carrier.metrics.connections.dec();
        });
    }
    drop(listener);
    carrier.begin_drain();
    tracing::info!("draining");
    let drained = tokio::select! {
        () = graceful.shutdown() => true,
        () = tokio::time::sleep(millis(carrier.settings.limits.drain_ms)) => false,
        () = now => false,
    };
    tasks.shutdown().await;
    drained
}

async fn connection(
    tcp: TcpStream,
    peer: std::net::SocketAddr,
    tls: Option<TlsAcceptor>,
    carrier: &Arc<Carrier>,
    watcher: Watcher,
) {
    let _ = tcp.set_nodelay(true);
    let Some(tls) = tls else {
        return http1(tcp, peer, carrier, watcher).await;
    };
    let handshake = tokio::time::timeout(
        millis(carrier.settings.limits.handshake_ms),
        tls.accept(tcp),
    );
    let Ok(Ok(stream)) = handshake.await else {
        return;
    };
    if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
        http2(stream, peer, carrier, watcher).await;
    } else {
        http1(stream, peer, carrier, watcher).await;
    }
}

async fn http1<S>(stream: S, peer: std::net::SocketAddr, carrier: &Arc<Carrier>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &carrier.settings.limits;
    let io = StrictIo::new(
        stream,
        Some(carrier.rules.bounds),
        millis(limits.head_ms),
        millis(limits.write_stall_ms),
    );
    let service = service_fn({
        let carrier = Arc::clone(carrier);
        move |request| {
            let carrier = Arc::clone(&carrier);
            async move { Ok::<_, std::convert::Infallible>(exchange(carrier, peer, request).await) }
        }
    });
    // The framer times heads from their first byte; hyper's timer, from the end of the last answer, is left to end
    // idle connections.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(millis(limits.keep_alive_ms.max(limits.head_ms)))
        .max_headers(limits.head_fields_max.max(16))
        .max_buf_size((limits.head_bytes_max + (16 << 10)).max(64 << 10))
        .serve_connection(TokioIo::new(io), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}

async fn http2<S>(stream: S, peer: std::net::SocketAddr, carrier: &Arc<Carrier>, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &carrier.settings.limits;
    let io = StrictIo::new(
        stream,
        None,
        millis(limits.head_ms),
        millis(limits.write_stall_ms),
    );
    let service = service_fn({
        let carrier = Arc::clone(carrier);
        move |request| {
            let carrier = Arc::clone(&carrier);
            async move { Ok::<_, std::convert::Infallible>(exchange(carrier, peer, request).await) }
        }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.h2_streams_max)
        .max_header_list_size(u32::try_from(limits.head_bytes_max).unwrap_or(u32::MAX))
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(1 << 20)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .max_send_buf_size(64 << 10)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(10))
        .serve_connection(TokioIo::new(io), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended");
    }
}
