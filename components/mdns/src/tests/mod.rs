mod cache;
mod message;
mod resolver;
mod service;
