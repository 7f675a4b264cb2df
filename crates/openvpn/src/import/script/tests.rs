use super::*;

fn facts(text: &str) -> ScriptFacts {
    ScriptFacts::read(text.as_bytes(), &[], &[])
}

fn networks(text: &str) -> Vec<String> {
    facts(text).networks.iter().map(|found| format!("{} {}", found.line, found.what)).collect()
}

#[test]
fn routes_of_a_shell_script_are_read() {
    assert_eq!(networks("#!/bin/sh\nip route add 10.202.0.0/16 dev $1\n"), ["2 10.202.0.0/16"]);
    assert_eq!(networks("/sbin/ip -4 ro replace 10.202.0.0/16 nexthop via 10.9.1.2 weight 1\n"), ["1 10.202.0.0/16"]);
    assert_eq!(networks("route add -net 10.202.0.0 netmask 255.255.0.0 dev $1"), ["1 10.202.0.0/16"]);
    assert_eq!(networks("route add -host 10.202.0.9 gw 10.9.1.2"), ["1 10.202.0.9/32"]);
    assert_eq!(networks("NET=10.202.0.0/16 # theirs\nip route add \"$NET\" via $5 || true"), ["2 10.202.0.0/16"]);
    assert_eq!(
        networks(
            "nets='10.202.0.0/16 10.203.0.0/16'\nfor net in $nets fd00:202::/48; do\n  ip route add ${net} dev $dev\ndone"
        ),
        ["3 10.202.0.0/16", "3 10.203.0.0/16", "3 fd00:202::/48"]
    );
    assert_eq!(networks("ip route \\\n  add 10.202.0.0/16 \\\n dev $1"), ["1 10.202.0.0/16"]);
}

#[test]
fn routes_of_a_perl_script_are_read() {
    let text = r#"
my %remote = (
    nq => [qw(10.202.0.0/16 10.203.0.0/16)],   # New York
);
my $src = '10.207.0.1';
foreach my $net (@{$remote{$link}}) {
    my $verb = $have{$net} ? 'change' : 'add';
    run("ip route $verb $net src $src " . join(' ', map { "nexthop via $_" } @hops));
}
system('ip', 'route', 'del', $net);
"#;
    let facts = facts(text);
    assert_eq!(
        facts.networks.iter().map(|found| found.what.to_string()).collect::<Vec<_>>(),
        ["10.202.0.0/16", "10.203.0.0/16"]
    );
    assert_eq!(facts.networks[0].line, 8);
    assert_eq!(facts.sources, [Found { line: 8, what: "10.207.0.1".parse().expect("an address") }]);
    assert_eq!(facts.unread, []);
    assert_eq!(networks("system(\"ip\", \"route\", \"replace\", '10.1.0.0/16', 'dev', $dev);"), ["1 10.1.0.0/16"]);
}

#[test]
fn a_table_is_looked_up_by_what_the_script_is_called_with() {
    let text = "my %nets = (\n nq => ['10.202.0.0/16'],\n sq => [qw(10.204.0.0/16 10.205.0.0/16)],\n);\nfor my $net (@{$nets{$link}}) { system(\"ip route add $net dev $dev\"); }\n";
    let networks = |hints: &[&str]| {
        let hints: Vec<_> = hints.iter().map(|&hint| hint.to_owned()).collect();
        let facts = ScriptFacts::read(text.as_bytes(), &hints, &[]);
        (facts.chosen, facts.networks.iter().map(|found| found.what.to_string()).collect::<Vec<_>>())
    };
    assert_eq!(networks(&["nq"]), (true, vec!["10.202.0.0/16".to_owned()]));
    assert_eq!(networks(&["up", "sq"]), (true, vec!["10.204.0.0/16".to_owned(), "10.205.0.0/16".to_owned()]));
    assert_eq!((networks(&["x"]).0, networks(&["x"]).1.len()), (false, 3));
}

#[test]
fn what_a_script_is_called_with_stands_for_its_parameters() {
    let arguments = ["10.202.0.0/16", "10.207.0.1"].map(str::to_owned);
    for text in [
        "net=$1; src=$2\nip route replace $net src $src dev $3",
        "#!/bin/sh\nip route add $1 src ${2} dev tun0\n",
        "my ($net, $src, $dev) = @ARGV;\nsystem(\"ip route add $net src $src dev $dev\");",
        "my $net = shift;\nmy $src = shift @ARGV;\nsystem(\"ip route add $net src $src dev $dev\");",
        "system('ip', 'route', 'add', $ARGV[0], 'src', $ARGV[1]);",
    ] {
        let facts = ScriptFacts::read(text.as_bytes(), &arguments, &[]);
        let networks: Vec<_> = facts.networks.iter().map(|found| found.what.to_string()).collect();
        assert_eq!(networks, ["10.202.0.0/16"], "{text}: {facts:?}");
        assert!(facts.sources.iter().any(|found| found.what.to_string() == "10.207.0.1"), "{text}: {facts:?}");
    }
}

#[test]
fn what_is_worked_out_at_run_time_is_told() {
    let facts = facts(
        "my @nets = layout($site);\nfor my $net (@nets) {\n  system(\"ip route add $net dev $dev\");\n}\n# 10.9.9.0/24\nmy $x = '10.8.0.0/16';\n",
    );
    assert_eq!(facts.networks, []);
    assert_eq!(facts.unread, [Found { line: 3, what: "$net".to_owned() }]);
    assert_eq!(facts.prefixes, [Found { line: 6, what: "10.8.0.0/16".parse().expect("a prefix") }]);
}

#[test]
fn routes_that_lead_elsewhere_are_none_of_ours() {
    for line in [
        "ip route add unreachable 10.0.0.0/8",
        "ip route add 203.0.113.2 via 192.0.2.1 dev eth0",
        "ip route add 10.1.0.0/16 dev $dev table 100",
        "ip route del 10.1.0.0/16",
        "ip route show 10.1.0.0/16",
        "ip rule add from 10.1.0.0/16 lookup 7",
        "# ip route add 10.1.0.0/16 dev $1",
        "echo route 10.1.0.0/16",
    ] {
        assert_eq!((networks(line), facts(line).unread), (Vec::<String>::new(), vec![]), "{line}");
    }
}

#[test]
fn weights_queues_and_other_programs_are_seen() {
    let facts = facts(
        "ip route replace 10.2.0.0/16 nexthop via 10.9.1.2 weight 3 nexthop dev nq2 weight 1\ntc qdisc replace dev $1 root sfq perturb 10\n\
         tc qdisc show dev $1\niptables -A FORWARD -i $1 -j ACCEPT\necho 0 > /proc/sys/net/ipv4/conf/$1/rp_filter\n",
    );
    let weights: Vec<_> = facts.weights.iter().map(|w| (w.what.nexthop.as_str(), w.what.weight)).collect();
    assert_eq!(weights, [("10.9.1.2", 3), ("nq2", 1)]);
    assert_eq!(facts.qdisc, Some(Found { line: 2, what: "sfq".to_owned() }));
    assert_eq!(facts.other, [Found { line: 4, what: "iptables".to_owned() }]);
}

#[test]
fn variables_that_stand_for_themselves_end() {
    assert_eq!(facts("a=$b\nb=$a\nip route add $a dev x").unread, [Found { line: 3, what: "$a".to_owned() }]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "(ip|route|add|\\$[a-z]|=|\\(|\\)|\\{|\"|'|#|\\\\|\n| |10\\.0\\.0\\.0/8|for|in|my){0,60}") {
        let _facts = facts(&text);
    }
}
