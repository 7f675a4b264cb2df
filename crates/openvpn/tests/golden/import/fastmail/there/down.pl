#!/usr/bin/perl
system("ip route delete $net");
