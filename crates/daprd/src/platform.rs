//! What differs between Linux, macOS and Windows.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

/// The id of the user that the process runs as; 0 where there is no such thing.
pub fn user_id() -> u32 {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata("/proc/self").map(|m| m.uid()).unwrap_or_default()
    }
    #[cfg(not(unix))]
    {
        0
    }
}

/// The name of the machine; `localhost` if it has none.
pub fn hostname() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = from_kernel
        .or_else(|| std::env::var("COMPUTERNAME").ok())
        .unwrap_or_default();
    let name = name.trim();
    if name.is_empty() {
        "localhost".into()
    } else {
        name.to_owned()
    }
}

/// The address at which other machines reach this one: that of the route outwards, without sending anything.
pub fn host_address() -> IpAddr {
    let outwards: [SocketAddr; 2] = [
        ([192, 0, 2, 1], 80).into(),
        ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1], 80).into(),
    ];
    for target in outwards {
        let any: SocketAddr = if target.is_ipv4() {
            ([0, 0, 0, 0], 0).into()
        } else {
            ([0u16; 8], 0).into()
        };
        let found = UdpSocket::bind(any).and_then(|socket| socket.connect(target).and_then(|()| socket.local_addr()));
        match found {
            Ok(address) if !address.ip().is_unspecified() => return address.ip(),
            _ => {}
        }
    }
    IpAddr::V4(Ipv4Addr::LOCALHOST)
}
