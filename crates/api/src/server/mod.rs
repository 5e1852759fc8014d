//! The servers: they accept connections, pass requests through the layers in their order, and end in time.

mod grpc;
mod h2c;
mod http;
mod listen;
mod log;
mod router;
#[cfg(test)]
mod tests;

pub use self::grpc::GrpcServer;
pub use self::http::{HttpServer, Layers};
pub use self::listen::{Answer, Bound, ListenError, Options, Server, bind};
pub use self::log::ApiLog;
