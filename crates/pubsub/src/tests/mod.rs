//! Tests of the block: both servers in this process, an application on loopback, and message brokers of this process.

mod bench;
mod broker;
mod bulk;
mod deliver;
mod events;
mod grpc_app;
mod http_app;
mod publish;
mod stream;
mod subscriptions;
