#!/usr/bin/perl -w
# called by OpenVPN: up.pl LINK DEVICE MTU ...
use strict;
use Fcntl ':flock';

my ($link, $dev, undef, undef, $local, $remote) = @ARGV;
my $src = '10.207.0.1';
my %networks = (
    nq => [qw(10.202.0.0/16)],
    sq => [qw(10.204.0.0/16)],
);

open(my $lock, '>', '/var/lock/openvpn-routes') or die;
flock($lock, LOCK_EX);
run("echo 0 > /proc/sys/net/ipv4/conf/$dev/rp_filter");
run("/sbin/tc qdisc replace dev $dev root sfq perturb 10");
foreach my $net (@{$networks{$link}}) {
    my @hops = current($net);
    next if grep { $_ eq $remote } @hops;
    my $verb = @hops ? 'change' : 'add';
    my $nexthops = join(' ', map { "nexthop via $_" } @hops, $remote);
    run("ip route $verb $net src $src $nexthops");
}

sub current {
    my ($net) = @_;
    my @lines = `ip route show $net`;
    return map { /via (\S+)/ ? $1 : () } @lines;
}

sub run {
    my ($command) = @_;
    print "$command\n";
    system($command);
}
