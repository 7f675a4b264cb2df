#!/bin/sh
# routes to the branch
NETS="172.20.0.0/16 172.21.0.0/16"
/sbin/tc qdisc add dev $1 root fq_codel
for net in $NETS; do
    ip route replace $net src 172.16.0.1 \
        nexthop via 10.8.0.2 weight 3 \
        nexthop dev office2 weight 1
done
iptables -I FORWARD -i "$1" ! -s 172.20.0.0/15 -j DROP
logger "office up: $1"
