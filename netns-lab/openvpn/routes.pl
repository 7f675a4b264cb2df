#!/usr/bin/perl
# Keeps one multipath route over several OpenVPN processes, as published accounts of such a set-up tell it. It is both the
# up and the down script: its name tells which.
#
#   up|down DEVICE MTU 0 LOCAL REMOTE init|restart
#
# The file `network` beside it has the source address of this site on its first line, then a network of the other site a line.
use strict;
use warnings;
use Fcntl qw(:flock);

my ($folder, $what) = $0 =~ m{^(.*)/(up|down)$} or die "call me up or down\n";
my ($device, undef, undef, undef, $remote) = @ARGV;

# OpenVPN hands on no PATH.
$ENV{PATH} = '/usr/sbin:/usr/bin:/sbin:/bin';

# All processes of a machine come up at once.
open my $lock, '>', "$folder/lock" or die "$folder/lock: $!\n";
flock $lock, LOCK_EX or die "$folder/lock: $!\n";

sub run {
    print "@_\n";
    system(@_) == 0 or print "failed: @_\n";
}

open my $data, '<', "$folder/network" or die "$folder/network: $!\n";
chomp(my ($source, @networks) = <$data>);

if ($what eq 'up') {
    if (open my $filter, '>', "/proc/sys/net/ipv4/conf/$device/rp_filter") {
        print $filter "0\n";
    }
    run('tc', 'qdisc', 'replace', 'dev', $device, 'root', 'sfq');
}
for my $network (@networks) {
    # One nexthop stands on the route's own line, several stand below it: all of them begin with via.
    my @hops = `ip route show $network` =~ /via (\S+)/g;
    my @wanted = grep { $_ ne $remote } @hops;
    push @wanted, $remote if $what eq 'up';
    next if @wanted == @hops;
    if (@wanted) {
        my $verb = @hops ? 'change' : 'add';
        run('ip', 'route', $verb, $network, 'src', $source, map { ('nexthop', 'via', $_) } @wanted);
    } else {
        run('ip', 'route', 'delete', $network);
    }
}
