//! The sockets of multicast DNS: a port that all share, on each network of the machine.
//!
//! The standard library can neither share a port nor choose the network that a datagram leaves by, so this module calls
//! the system itself, and is the only one that does.
#![allow(unsafe_code)]

use std::{
    collections::BTreeMap,
    ffi::CStr,
    io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

/// The port of multicast DNS.
pub(crate) const PORT: u16 = 5353;

const GROUP_V4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0xfb);

/// How many routers a datagram may pass: receivers may check that it passed none.
const HOPS: libc::c_int = 255;

/// A network of the machine, by the number the system gives it.
pub(crate) type Interface = u32;

/// The version of IP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// The networks that carry multicast, by version. A machine that has none gets its loopback, so that sidecars on it find
/// each other all the same.
pub(crate) fn interfaces() -> io::Result<(Vec<Interface>, Vec<Interface>)> {
    let mut found: BTreeMap<(bool, Interface), [bool; 2]> = BTreeMap::new();
    let mut first: *mut libc::ifaddrs = ptr::null_mut();
    // SAFETY: `first` is where the system puts the beginning of its list.
    check(unsafe { libc::getifaddrs(&raw mut first) })?;
    let mut next = first;
    while !next.is_null() {
        // SAFETY: `next` is an element of the list, which is freed after the loop; its fields are valid or null.
        let entry = unsafe { &*next };
        next = entry.ifa_next;
        if entry.ifa_addr.is_null() || entry.ifa_name.is_null() {
            continue;
        }
        // SAFETY: both were checked for null; the name is a C string.
        let (family, name) = unsafe { ((*entry.ifa_addr).sa_family, CStr::from_ptr(entry.ifa_name)) };
        let family = match libc::c_int::from(family) {
            libc::AF_INET => 0,
            libc::AF_INET6 => 1,
            _ => continue,
        };
        let has = |flag: libc::c_int| entry.ifa_flags & (flag as libc::c_uint) != 0;
        let loopback = has(libc::IFF_LOOPBACK);
        if !has(libc::IFF_UP) || !(loopback || has(libc::IFF_MULTICAST)) || has(libc::IFF_POINTOPOINT) {
            continue;
        }
        // SAFETY: the name is a C string.
        let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
        if index != 0 {
            found.entry((loopback, index)).or_default()[family] = true;
        }
    }
    // SAFETY: the list came from getifaddrs and is not used any more.
    unsafe { libc::freeifaddrs(first) };
    let of = |family: usize| {
        let has = |loopback| {
            let matching = found
                .iter()
                .filter(|(key, families)| key.0 == loopback && families[family]);
            matching.map(|(key, _)| key.1).collect::<Vec<_>>()
        };
        let real: Vec<Interface> = has(false);
        if real.is_empty() { has(true) } else { real }
    };
    Ok((of(0), of(1)))
}

/// A socket of one version of IP.
#[derive(Debug)]
pub(crate) struct Socket {
    family: Family,
    inner: tokio::net::UdpSocket,
    joined: Vec<Interface>,
}

impl Socket {
    /// Opens the port, which other processes may have open too.
    pub(crate) fn open(family: Family) -> io::Result<Self> {
        let socket = bind(family)?;
        socket.set_nonblocking(true)?;
        match family {
            Family::V4 => {
                socket.set_multicast_loop_v4(true)?;
                socket.set_multicast_ttl_v4(HOPS as u32)?;
            }
            Family::V6 => {
                socket.set_multicast_loop_v6(true)?;
                set(&socket, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS, &HOPS)?;
            }
        }
        Ok(Self {
            family,
            inner: tokio::net::UdpSocket::from_std(socket)?,
            joined: Vec::new(),
        })
    }

    /// Listens on exactly these networks; says whether there are new ones.
    pub(crate) fn listen_on(&mut self, interfaces: &[Interface]) -> bool {
        let known = mem::take(&mut self.joined);
        for interface in interfaces {
            if known.contains(interface) || self.join(*interface).is_ok() {
                self.joined.push(*interface);
            }
        }
        self.joined.iter().any(|interface| !known.contains(interface))
    }

    fn join(&self, interface: Interface) -> io::Result<()> {
        let joined = match self.family {
            Family::V4 => set(
                &self.inner,
                libc::IPPROTO_IP,
                libc::IP_ADD_MEMBERSHIP,
                &request(interface),
            ),
            Family::V6 => self.inner.join_multicast_v6(&GROUP_V6, interface),
        };
        match joined {
            // It listens there already.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Ok(()),
            joined => joined,
        }
    }

    /// Whether it listens anywhere.
    pub(crate) fn listens(&self) -> bool {
        !self.joined.is_empty()
    }

    pub(crate) async fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.inner.recv_from(buffer).await
    }

    /// Sends to all who listen, on each network. What one network refuses does not hinder the others.
    pub(crate) async fn send_to_all(&self, bytes: &[u8]) {
        for interface in &self.joined {
            let sent = match self.family {
                Family::V4 => self.send_v4(bytes, *interface).await,
                Family::V6 => {
                    let group = SocketAddrV6::new(GROUP_V6, PORT, 0, *interface);
                    self.inner.send_to(bytes, group).await.map(drop)
                }
            };
            if let Err(error) = sent {
                tracing::debug!(interface, %error, "mDNS cannot send");
            }
        }
    }

    async fn send_v4(&self, bytes: &[u8], interface: Interface) -> io::Result<()> {
        set(
            &self.inner,
            libc::IPPROTO_IP,
            libc::IP_MULTICAST_IF,
            &request(interface),
        )?;
        self.inner.send_to(bytes, (GROUP_V4, PORT)).await.map(drop)
    }

    /// Sends to one.
    pub(crate) async fn send_to(&self, bytes: &[u8], to: SocketAddr) {
        if let Err(error) = self.inner.send_to(bytes, to).await {
            tracing::debug!(%to, %error, "mDNS cannot send");
        }
    }
}

/// The group on a network, as the system wants it.
fn request(interface: Interface) -> libc::ip_mreqn {
    libc::ip_mreqn {
        imr_multiaddr: in_addr(GROUP_V4),
        imr_address: in_addr(Ipv4Addr::UNSPECIFIED),
        imr_ifindex: interface.cast_signed(),
    }
}

fn in_addr(address: Ipv4Addr) -> libc::in_addr {
    libc::in_addr {
        s_addr: u32::from_ne_bytes(address.octets()),
    }
}

/// A socket on the shared port.
fn bind(family: Family) -> io::Result<UdpSocket> {
    let domain = match family {
        Family::V4 => libc::AF_INET,
        Family::V6 => libc::AF_INET6,
    };
    // SAFETY: plain numbers; the result is checked.
    let fd = check(unsafe { libc::socket(domain, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the descriptor is new and nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    let on: libc::c_int = 1;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &on)?;
    set(&socket, libc::SOL_SOCKET, libc::SO_REUSEPORT, &on)?;
    match family {
        Family::V4 => {
            // SAFETY: all-zero is a valid address of this type.
            let mut address: libc::sockaddr_in = unsafe { mem::zeroed() };
            address.sin_family = libc::AF_INET as libc::sa_family_t;
            address.sin_port = PORT.to_be();
            bind_to(&socket, &address)?;
        }
        Family::V6 => {
            set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &on)?;
            // SAFETY: all-zero is a valid address of this type.
            let mut address: libc::sockaddr_in6 = unsafe { mem::zeroed() };
            address.sin6_family = libc::AF_INET6 as libc::sa_family_t;
            address.sin6_port = PORT.to_be();
            bind_to(&socket, &address)?;
        }
    }
    Ok(UdpSocket::from(socket))
}

fn bind_to<T>(socket: &OwnedFd, address: &T) -> io::Result<()> {
    // SAFETY: the address is a socket address of the given size, and is only read.
    check(unsafe {
        libc::bind(
            socket.as_raw_fd(),
            ptr::from_ref(address).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Sets an option whose value is what the system expects for it.
fn set<T>(socket: &impl AsRawFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the value is only read, within its size.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

/// Whether others on the network can use the address.
pub(crate) fn is_usable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_unspecified() && !address.is_multicast(),
        // Without its network, a link-local address says nothing.
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_multicast() && !address.is_unicast_link_local(),
    }
}
