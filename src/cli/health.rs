//! `privet health`: asks `/readyz` of a running privet, without any tool in the container.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::exit;

/// `privet health`.
#[derive(Debug, clap::Args)]
pub struct Health {
    /// The admin listener
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9090")]
    pub address: SocketAddr,
}

/// Asks once. Exit code 0 = ready, 1 = it answered that it is not, 69 = no answer.
///
/// # Errors
/// None; what fails is an exit code.
pub fn execute(health: &Health) -> anyhow::Result<u8> {
    Ok(match ask(health.address) {
        Ok(true) => exit::OK,
        Ok(false) => {
            let _ = writeln!(std::io::stderr(), "not ready");
            exit::FAILURE
        }
        Err(e) => {
            let address = health.address;
            let _ = writeln!(std::io::stderr(), "no answer from {address}: {e}");
            exit::UNAVAILABLE
        }
    })
}

fn ask(address: SocketAddr) -> std::io::Result<bool> {
    let timeout = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = [0_u8; 12];
    stream.read_exact(&mut head)?;
    Ok(&head == b"HTTP/1.1 200")
}
