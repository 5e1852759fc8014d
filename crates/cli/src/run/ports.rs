//! Free ports. A port that was chosen is held until the programs are started, so that no two of them get the same.

use anyhow::{Context, Result, bail};
use std::{
    collections::{HashMap, hash_map::Entry},
    net::{TcpListener, ToSocketAddrs},
};

/// Ports that are chosen or asked for, each with whose it is.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    held: Vec<TcpListener>,
    owners: HashMap<u16, String>,
}

impl Ports {
    /// Takes a port that somebody asked for. Fails if it is asked for twice.
    pub(crate) fn claim(&mut self, port: u16, owner: &str) -> Result<()> {
        match self.owners.insert(port, owner.to_owned()) {
            Some(other) => bail!("port {port} is given to both {other} and {owner}"),
            None => Ok(()),
        }
    }

    /// Makes sure that a server of ours can listen on a port that somebody asked for, and holds it.
    pub(crate) fn hold(&mut self, port: u16, listen_addresses: &str, owner: &str) -> Result<()> {
        for host in listen_addresses
            .split(',')
            .map(|host| host.trim().trim_matches(['[', ']']))
        {
            // what cannot be resolved is for the sidecar to tell
            let Ok(mut addresses) = (host, port).to_socket_addrs() else {
                continue;
            };
            let Some(address) = addresses.next() else { continue };
            let held = TcpListener::bind(address).with_context(|| format!("{owner}: port {port} cannot be used"))?;
            self.held.push(held);
        }
        Ok(())
    }

    /// A free port of this machine.
    pub(crate) fn choose(&mut self, owner: &str) -> Result<u16> {
        loop {
            let listener = TcpListener::bind(("127.0.0.1", 0)).context("there is no free port")?;
            let port = listener.local_addr().context("the port cannot be told")?.port();
            // one that is taken is held too, so that the next try gets another
            self.held.push(listener);
            if let Entry::Vacant(vacant) = self.owners.entry(port) {
                vacant.insert(owner.to_owned());
                return Ok(port);
            }
        }
    }

    /// Lets go of all ports: the programs start now.
    pub(crate) fn release(self) {
        drop(self.held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_chosen_once_and_held() {
        let mut ports = Ports::default();
        let (one, other) = (ports.choose("one").unwrap(), ports.choose("other").unwrap());
        assert_ne!(one, other);
        assert!(TcpListener::bind(("127.0.0.1", one)).is_err());
        ports.release();
        assert!(TcpListener::bind(("127.0.0.1", one)).is_ok());
    }

    #[test]
    fn a_port_has_one_owner_and_must_be_free() {
        let mut ports = Ports::default();
        ports.claim(3500, "daprHTTPPort of one").unwrap();
        let error = ports.claim(3500, "appPort of two").unwrap_err().to_string();
        assert_eq!(
            error,
            "port 3500 is given to both daprHTTPPort of one and appPort of two"
        );
        let other = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let taken = other.local_addr().unwrap().port();
        let error = ports.hold(taken, "127.0.0.1", "daprGRPCPort of one").unwrap_err();
        assert!(format!("{error:#}").starts_with(&format!("daprGRPCPort of one: port {taken} cannot be used: ")));
    }
}
