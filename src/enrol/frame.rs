//! One message: its length in four bytes, and it.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::wire::Streamable;

/// Reads a message of at most `most` bytes; a longer one is refused before anything is allocated for it.
pub(super) async fn read<T: Streamable>(stream: &mut (impl AsyncRead + Unpin), most: usize) -> io::Result<T> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    if length > most {
        return Err(invalid(format!("a message of {length} bytes, at most {most} are read")));
    }
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await?;
    T::from_bytes(&bytes).map_err(|error| invalid(error.to_string()))
}

/// Writes a message and sees it off.
pub(super) async fn write<T: Streamable>(stream: &mut (impl AsyncWrite + Unpin), message: &T) -> io::Result<()> {
    let bytes = message.to_bytes();
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    stream.write_u32(length).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
