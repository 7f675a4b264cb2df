//! Classic BPF programs, see Documentation/networking/filter.rst.
//!
//! They address the network header (`SKF_NET_OFF`) and take the protocol from the packet's own record
//! (`SKF_AD_PROTOCOL`), so that they work on every device and with either [`super::Layer`].

use std::{num::NonZeroU32, ops::RangeInclusive};

/// One instruction, laid out as `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// Instructions to skip when the comparison holds.
    pub jump_true: u8,
    /// Instructions to skip when it does not.
    pub jump_false: u8,
    /// Operand.
    pub operand: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());
const _: () = assert!(align_of::<Instruction>() == align_of::<libc::sock_filter>());

/// Whether ARP, IPv6 neighbour discovery and multicast listener reports, which every link carries, are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Neighbours {
    /// They are captured like everything else.
    Captured,
    /// They are left out.
    LeftOut,
}

/// The most port ranges that one program takes, so that every jump fits its 8 bits.
pub const MAX_RANGES: usize = 24;

/// A program that accepts everything except UDP with its source or destination port in one of `ports`.
///
/// UDP is recognised over IPv4 without options and over IPv6 without extension headers; fragments are accepted. A
/// packet too short for the header that it claims to have is left out, because the kernel ends a program that reads
/// beyond it.
///
/// # Panics
/// With more than [`MAX_RANGES`] ranges.
pub fn all_but_udp(ports: &[RangeInclusive<u16>], neighbours: Neighbours) -> Vec<Instruction> {
    let mut program = Program::default();
    if neighbours == Neighbours::LeftOut {
        program.append(neighbours_to(Verdict::Reject));
    }
    program.append(udp_to(ports, Verdict::Reject));
    program.finish(Verdict::Accept)
}

/// A program that accepts about one in `one_in` of the UDP packets that [`all_but_udp`] leaves out, at random, and
/// nothing else.
///
/// # Panics
/// With more than [`MAX_RANGES`] ranges.
pub fn sample_udp(ports: &[RangeInclusive<u16>], one_in: NonZeroU32) -> Vec<Instruction> {
    let mut program = Program::default();
    program.load(libc::BPF_W, ancillary(libc::SKF_AD_RANDOM));
    // A random number up to u32::MAX is above the bound in all but one of `one_in` cases.
    program.test(libc::BPF_JGT, u32::MAX / one_in, Go::To(Verdict::Reject), Go::On);
    program.append(udp_to(ports, Verdict::Accept));
    program.finish(Verdict::Reject)
}

/// UDP from or to one of `ports` goes to `verdict`, everything else on.
fn udp_to(ports: &[RangeInclusive<u16>], verdict: Verdict) -> Program {
    assert!(ports.len() <= MAX_RANGES, "{} port ranges, {MAX_RANGES} is the most", ports.len());
    const MORE_FRAGMENTS_OR_OFFSET: u32 = 0x3fff;
    let v4 = ports_to(ports, 20, verdict)
        .unless(libc::BPF_H, network(6), libc::BPF_JSET, MORE_FRAGMENTS_OR_OFFSET)
        .only_if(libc::BPF_B, network(9), libc::BPF_JEQ, UDP)
        .only_if(libc::BPF_B, network(0), libc::BPF_JEQ, 0x45)
        .only_if(libc::BPF_W, ancillary(libc::SKF_AD_PROTOCOL), libc::BPF_JEQ, libc::ETH_P_IP as u32);
    let v6 = ports_to(ports, 40, verdict).only_if(libc::BPF_B, network(6), libc::BPF_JEQ, UDP).only_if(
        libc::BPF_W,
        ancillary(libc::SKF_AD_PROTOCOL),
        libc::BPF_JEQ,
        libc::ETH_P_IPV6 as u32,
    );
    let mut both = v4;
    both.append(v6);
    both
}

/// The two ports at `offset` in the network packet.
fn ports_to(ports: &[RangeInclusive<u16>], offset: i32, verdict: Verdict) -> Program {
    let mut program = Program::default();
    for port in [offset, offset + 2] {
        program.load(libc::BPF_H, network(port));
        program.ranges_to(ports.iter().map(|range| (u32::from(*range.start()), u32::from(*range.end()))), verdict);
    }
    program
}

/// ARP, neighbour discovery (RFC 4861) and multicast listener discovery (RFC 2710, RFC 3810) go to `verdict`.
fn neighbours_to(verdict: Verdict) -> Program {
    let discovery = icmpv6_to(&[(133, 137)], 40, verdict).only_if(libc::BPF_B, network(6), libc::BPF_JEQ, ICMPV6);
    // Listener messages come behind a hop-by-hop header of 8 bytes with the router alert option.
    let listeners = icmpv6_to(&[(130, 132), (143, 143)], 48, verdict)
        .only_if(libc::BPF_H, network(40), libc::BPF_JEQ, ICMPV6 << 8)
        .only_if(libc::BPF_B, network(6), libc::BPF_JEQ, HOP_BY_HOP);
    let mut v6 = discovery;
    v6.append(listeners);
    let mut program = Program::default();
    program.load(libc::BPF_W, ancillary(libc::SKF_AD_PROTOCOL));
    program.test(libc::BPF_JEQ, libc::ETH_P_ARP as u32, Go::To(verdict), Go::On);
    program.append(v6.only_if(libc::BPF_W, ancillary(libc::SKF_AD_PROTOCOL), libc::BPF_JEQ, libc::ETH_P_IPV6 as u32));
    program
}

fn icmpv6_to(types: &[(u32, u32)], offset: i32, verdict: Verdict) -> Program {
    let mut program = Program::default();
    program.load(libc::BPF_B, network(offset));
    program.ranges_to(types.iter().copied(), verdict);
    program
}

const UDP: u32 = libc::IPPROTO_UDP as u32;
const ICMPV6: u32 = libc::IPPROTO_ICMPV6 as u32;
const HOP_BY_HOP: u32 = libc::IPPROTO_HOPOPTS as u32;

fn network(offset: i32) -> i32 {
    libc::SKF_NET_OFF + offset
}

fn ancillary(field: i32) -> i32 {
    libc::SKF_AD_OFF + field
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Accept,
    Reject,
}

/// Where a test leads.
#[derive(Clone, Copy)]
enum Go {
    /// To the next instruction.
    On,
    /// Over so many of the next instructions.
    Over(usize),
    /// To the end.
    To(Verdict),
}

/// One instruction whose jumps are not resolved yet.
struct Step {
    code: u32,
    operand: u32,
    holds: Go,
    fails: Go,
}

/// A piece of a program. Control enters at its first step and, unless it ends with a verdict, leaves behind its last.
#[derive(Default)]
struct Program(Vec<Step>);

impl Program {
    /// Loads what lies at `offset`, negative offsets being the kernel's own kinds, into the accumulator.
    fn load(&mut self, width: u32, offset: i32) {
        let code = libc::BPF_LD | width | libc::BPF_ABS;
        self.0.push(Step { code, operand: offset as u32, holds: Go::On, fails: Go::On });
    }

    fn test(&mut self, comparison: u32, operand: u32, holds: Go, fails: Go) {
        self.0.push(Step { code: libc::BPF_JMP | comparison | libc::BPF_K, operand, holds, fails });
    }

    /// The accumulator within one of the ranges goes to `verdict`.
    fn ranges_to(&mut self, ranges: impl Iterator<Item = (u32, u32)>, verdict: Verdict) {
        for (start, end) in ranges {
            self.test(libc::BPF_JGE, start, Go::On, Go::Over(1));
            self.test(libc::BPF_JGT, end, Go::On, Go::To(verdict));
        }
    }

    fn append(&mut self, next: Program) {
        self.0.extend(next.0);
    }

    /// This piece, run only if the comparison holds.
    fn only_if(self, width: u32, offset: i32, comparison: u32, operand: u32) -> Program {
        let over = Go::Over(self.0.len());
        self.behind(width, offset, comparison, operand, Go::On, over)
    }

    /// This piece, run only if the comparison does not hold.
    fn unless(self, width: u32, offset: i32, comparison: u32, operand: u32) -> Program {
        let over = Go::Over(self.0.len());
        self.behind(width, offset, comparison, operand, over, Go::On)
    }

    fn behind(self, width: u32, offset: i32, comparison: u32, operand: u32, holds: Go, fails: Go) -> Program {
        let mut guarded = Program::default();
        guarded.load(width, offset);
        guarded.test(comparison, operand, holds, fails);
        guarded.append(self);
        guarded
    }

    /// Resolves the jumps and ends with `verdict` for what fell through.
    fn finish(self, verdict: Verdict) -> Vec<Instruction> {
        let end = self.0.len();
        let jump = |at: usize, go: Go| {
            let distance = match go {
                Go::On => 0,
                Go::Over(steps) => steps,
                Go::To(wanted) => end - at - 1 + usize::from(wanted != verdict),
            };
            u8::try_from(distance).expect("a program with at most MAX_RANGES ranges is shorter than 256 instructions")
        };
        let steps = self.0.iter().enumerate().map(|(at, step)| Instruction {
            code: step.code as u16,
            jump_true: jump(at, step.holds),
            jump_false: jump(at, step.fails),
            operand: step.operand,
        });
        let other = if verdict == Verdict::Accept { Verdict::Reject } else { Verdict::Accept };
        steps.chain([Instruction::ret(verdict), Instruction::ret(other)]).collect()
    }
}

impl Instruction {
    /// Ends the program: so many bytes of the packet are accepted.
    fn ret(verdict: Verdict) -> Instruction {
        let operand = if verdict == Verdict::Accept { u32::MAX } else { 0 };
        Instruction { code: (libc::BPF_RET | libc::BPF_K) as u16, jump_true: 0, jump_false: 0, operand }
    }
}
