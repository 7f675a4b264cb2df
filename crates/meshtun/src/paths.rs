//! The paths of a link in words, for `check` and `plan`.

use meshtun_config::{ChannelView, LinkView};

/// A line for each path that the file lists and a channel takes, in their order.
pub(crate) fn lines(link: &LinkView) -> Vec<String> {
    let mut paths: Vec<u16> = link.channels.iter().filter_map(|channel| channel.path).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().map(|path| line(link, path)).collect()
}

fn line(link: &LinkView, path: u16) -> String {
    let taking: Vec<&ChannelView> = link.channels.iter().filter(|channel| channel.path == Some(path)).collect();
    let devices: Vec<&str> = taking.iter().map(|channel| channel.device.as_str()).collect();
    let Some(first) = taking.first() else { return String::new() };
    let local = match first.local.ip() {
        any if any.is_unspecified() => "any address".to_owned(),
        address => address.to_string(),
    };
    let device = first.underlay_device.as_ref().map(|device| format!(" on {device}")).unwrap_or_default();
    let remote = first.remote.as_ref().map_or("wherever it speaks from".into(), |remote| remote.host.to_string());
    format!("path {path}, from {local}{device} to {remote}: {}", devices.join(", "))
}

#[cfg(test)]
mod tests {
    use meshtun_config::{Mesh, PublicKey};

    use super::*;

    #[test]
    fn each_path_is_told_with_its_ends_and_its_channels() {
        let gateway = |name: &str, number: u8| {
            let key = PublicKey([number; 32]);
            format!(
                "[gateways.{name}]\nnumber = {number}\npublic_key = \"{key}\"\nnetworks = [\"10.{number}.0.0/16\"]\n"
            )
        };
        let link = "[[links]]\nbetween = [\"a\", \"b\"]\nname = \"ab\"\n";
        let paths = r#"paths = [
            { a = { underlay = "198.51.100.7", device = "eth0" }, b = { endpoint = "b.example" } },
            { a = { endpoint = "a.example" }, b = { listen = "192.0.2.2" } },
        ]"#;
        let text = [&gateway("a", 1), &gateway("b", 2), link, paths].map(String::from).concat();
        let mesh = Mesh::parse("mesh.toml", &text).unwrap_or_else(|errors| panic!("{errors}"));
        let lines = lines(&mesh.view(&PublicKey([1; 32])).unwrap().links[0]);
        let expected = [
            "path 0, from 198.51.100.7 on eth0 to b.example: ab0, ab2",
            "path 1, from any address to wherever it speaks from: ab1, ab3",
        ];
        assert_eq!(lines, expected);
    }
}
