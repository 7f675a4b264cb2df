//! A writer for `mesh.toml`. It knows the file's form and none of its rules, so that wrong files can be written, too.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use ipnet::IpNet;

/// The first port of all that are derived; meshtun's default for `base_port`.
pub const BASE_PORT: u16 = 16384;

/// Further keys of a table: name, and value as TOML text (`"\"aes-256-gcm\""`, `"9000"`).
pub type Pairs = Vec<(String, String)>;

/// A whole file; [`fmt::Display`] writes it.
#[derive(Clone, Debug, Default)]
pub struct MeshFile {
    /// What stands in `[defaults]`.
    pub defaults: Pairs,
    /// Each gateway.
    pub gateways: Vec<GatewayEntry>,
    /// Each link.
    pub links: Vec<LinkEntry>,
}

/// `[gateways.NAME]`.
#[derive(Clone, Debug)]
pub struct GatewayEntry {
    /// Its name.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// Its public key, base64.
    pub public_key: String,
    /// Its address in the underlay, if the others shall know it.
    pub underlay: Option<IpAddr>,
    /// The source address of its own packets.
    pub address: Ipv4Addr,
    /// The same for IPv6.
    pub address6: Option<Ipv6Addr>,
    /// The prefixes behind it.
    pub networks: Vec<IpNet>,
    /// Further keys.
    pub options: Pairs,
}

/// `[[links]]`.
#[derive(Clone, Debug)]
pub struct LinkEntry {
    /// The two gateways' names.
    pub between: [String; 2],
    /// Its name, which its devices begin with.
    pub name: String,
    /// How many channels it has.
    pub channels: u16,
    /// First port at each end, in the order of `between`; derived if not given.
    pub ports: Option<[u16; 2]>,
    /// Further keys.
    pub options: Pairs,
}

impl MeshFile {
    /// The tun devices that a gateway gets: `LINK0` and so on for each of its links.
    pub fn devices(&self, gateway: &str) -> Vec<String> {
        let ours = self.links.iter().filter(|link| link.between.iter().any(|end| end == gateway));
        ours.flat_map(|link| (0..link.channels).map(|channel| format!("{}{channel}", link.name))).collect()
    }

    /// The UDP ports of all links at both ends: what the underlay may carry.
    ///
    /// Derived ports are those of [`BASE_PORT`]; a changed `base_port` is not seen. Links without channels, or between
    /// gateways that are not there, have none.
    pub fn ports(&self) -> Vec<RangeInclusive<u16>> {
        let linked = self.links.iter().filter(|link| link.channels > 0);
        let firsts = linked.filter_map(|link| Some((link, link.ports.or_else(|| self.derived(link))?)));
        firsts.flat_map(|(link, firsts)| firsts.map(|first| first..=first + (link.channels - 1))).collect()
    }

    /// 16 ports a gateway, by the number of the other end.
    fn derived(&self, link: &LinkEntry) -> Option<[u16; 2]> {
        let number = |name: &String| Some(self.gateways.iter().find(|gateway| gateway.name == *name)?.number);
        let [one, other] = [number(&link.between[0])?, number(&link.between[1])?];
        Some([other, one].map(|number| BASE_PORT + 16 * number))
    }
}

impl fmt::Display for MeshFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Written by netns-lab.")?;
        if !self.defaults.is_empty() {
            writeln!(f, "[defaults]")?;
            write_pairs(f, &self.defaults)?;
        }
        self.gateways.iter().try_for_each(|gateway| gateway.fmt(f))?;
        self.links.iter().try_for_each(|link| link.fmt(f))
    }
}

impl fmt::Display for GatewayEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n[gateways.{}]", self.name)?;
        writeln!(f, "number = {}", self.number)?;
        writeln!(f, "public_key = {:?}", self.public_key)?;
        if let Some(underlay) = self.underlay {
            writeln!(f, "underlay = \"{underlay}\"")?;
        }
        writeln!(f, "address = \"{}\"", self.address)?;
        if let Some(address) = self.address6 {
            writeln!(f, "address6 = \"{address}\"")?;
        }
        let networks: Vec<_> = self.networks.iter().map(|prefix| format!("\"{prefix}\"")).collect();
        writeln!(f, "networks = [{}]", networks.join(", "))?;
        write_pairs(f, &self.options)
    }
}

impl fmt::Display for LinkEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [one, other] = &self.between;
        writeln!(
            f,
            "\n[[links]]\nbetween = [{one:?}, {other:?}]\nname = {:?}\nchannels = {}",
            self.name, self.channels
        )?;
        if let Some([one, other]) = self.ports {
            writeln!(f, "ports = [{one}, {other}]")?;
        }
        write_pairs(f, &self.options)
    }
}

fn write_pairs(f: &mut fmt::Formatter<'_>, pairs: &Pairs) -> fmt::Result {
    pairs.iter().try_for_each(|(key, value)| writeln!(f, "{key} = {value}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> MeshFile {
        let gateway = |name: &str, number: u16| GatewayEntry {
            name: name.into(),
            number,
            public_key: "key=".into(),
            underlay: Some(Ipv4Addr::new(198, 51, 100, number as u8).into()),
            address: Ipv4Addr::new(10, number as u8, 0, 1),
            address6: None,
            networks: vec!["10.1.0.0/24".parse().unwrap()],
            options: Vec::new(),
        };
        let link = LinkEntry {
            between: ["one".into(), "two".into()],
            name: "nq".into(),
            channels: 2,
            ports: None,
            options: vec![("cipher".into(), "\"aes-256-gcm\"".into())],
        };
        MeshFile { defaults: Vec::new(), gateways: vec![gateway("one", 1), gateway("two", 7)], links: vec![link] }
    }

    #[test]
    fn the_file_is_written_as_people_write_it() {
        let expected = r#"# Written by netns-lab.

[gateways.one]
number = 1
public_key = "key="
underlay = "198.51.100.1"
address = "10.1.0.1"
networks = ["10.1.0.0/24"]

[gateways.two]
number = 7
public_key = "key="
underlay = "198.51.100.7"
address = "10.7.0.1"
networks = ["10.1.0.0/24"]

[[links]]
between = ["one", "two"]
name = "nq"
channels = 2
cipher = "aes-256-gcm"
"#;
        assert_eq!(file().to_string(), expected);
    }

    #[test]
    fn a_gateway_listens_where_the_other_ends_number_says() {
        assert_eq!(file().ports(), [16384 + 112..=16384 + 113, 16384 + 16..=16384 + 17]);
    }

    #[test]
    fn ports_that_are_given_are_not_derived() {
        let mut file = file();
        file.links[0].ports = Some([6011, 6001]);
        assert_eq!(file.ports(), [6011..=6012, 6001..=6002]);
    }

    #[test]
    fn a_gateway_has_a_device_for_each_channel_of_its_links() {
        assert_eq!(file().devices("two"), ["nq0", "nq1"]);
        assert!(file().devices("three").is_empty());
    }
}
