//! Validated, typed options of one point-to-point process.

mod crypto;

mod files;
mod logging;
mod management;
mod model;
mod network;
mod read;
mod scripts;
mod transport;

pub use crypto::{Cipher, Digest, KeyDirection, ReplayWindow, Secret, SecretSource};

pub use files::{Need, NeededFile};
pub use logging::{Daemon, LogFile, Status, UserSignal};
pub use management::{Management, ManagementAddress};
pub use model::Options;
pub use network::{
    Destination, Device, GatewayRedirect, Ifconfig, IfconfigV6, Mssfix, MssfixCounts, MtuDiscovery, Route, RouteDelay,
    RouteGateway, RouteV6, Topology,
};
pub use read::{Parsed, Services, Standing, standing};
pub use scripts::{Script, ScriptSecurity};
pub use transport::{Compression, Family, Inactivity, Local, PingTimeout, Protocol, Remote};
