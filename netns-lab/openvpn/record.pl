#!/usr/bin/perl
# Notes how a script is called, and calls it: record TRACE SCRIPT ARGUMENTS…
# A call is a line with `call`, then one for each argument and each variable of the environment.
use strict;
use warnings;
use Fcntl qw(:flock);

my ($trace, @script) = @ARGV;
open my $file, '>>', $trace or die "$trace: $!\n";
flock $file, LOCK_EX or die "$trace: $!\n";
my ($name) = $script[0] =~ m{([^/]*)$};
print $file "call $name\n";
print $file "argument $_\n" for @script[1 .. $#script];
print $file "variable $_=$ENV{$_}\n" for sort keys %ENV;
close $file or die "$trace: $!\n";
exec @script or die "$script[0]: $!\n";
