//! Options on their way: what directives said, before defaults that depend on others and before checks.

use std::{sync::Arc, time::Duration};

use zeroize::Zeroizing;

use super::{
    super::{Family, Management, Mssfix, MssfixCounts, Options, PingTimeout, Protocol, Secret, SecretSource, Status},
    Services,
};
use crate::{
    directive::{Directive, Place, scrub},
    finding::Finding,
};

/// What has been read so far.
pub(super) struct Draft {
    /// What is clear at once.
    pub(super) options: Options,
    pub(super) findings: Vec<Finding>,
    pub(super) secret: Option<Secret>,
    pub(super) dev: Option<String>,
    pub(super) dev_type: Option<String>,
    pub(super) ifconfig: Option<(String, String)>,
    pub(super) nobind: bool,
    pub(super) bind: bool,
    /// `lport` with anything but 0.
    pub(super) lport_given: bool,
    pub(super) local_port: u16,
    pub(super) remote_port: u16,
    pub(super) remotes: Vec<RemoteDraft>,
    pub(super) tun_mtu_given: bool,
    pub(super) mssfix: MssfixDraft,
    pub(super) ping: Duration,
    pub(super) ping_timeout: Option<PingTimeout>,
    pub(super) keepalive: Option<(Duration, Duration)>,
    pub(super) status: Option<(String, Duration)>,
    pub(super) status_version: u8,
    pub(super) management: Option<Management>,
    /// What begins with `management-` and needs `management`, and where it stands.
    pub(super) management_wants: Vec<(String, Place)>,
    pub(super) management_extra: ManagementExtra,
    /// `keysize`, in bits.
    pub(super) keysize: Option<i64>,
    pub(super) foreign_options: u32,
    /// `ignore-unknown-option`.
    pub(super) ignored: Vec<String>,
    /// `setenv FORWARD_COMPATIBLE 1`.
    pub(super) forward_compatible: bool,
    /// Files, the command line among them, in which a line was found that is no option at all.
    pub(super) strange: Vec<Option<Arc<str>>>,
    /// Names of directives that were wrong, so that nothing is said to be missing that is there.
    pub(super) wrong: Vec<String>,
    /// Directives that only TLS has.
    pub(super) tls: Vec<(String, Place)>,
    /// Directives that only a server with many clients has.
    pub(super) server: Vec<(String, Place)>,
    pub(super) services: Services,
    /// All files and lines could be read. Where not, what is missing may stand there.
    pub(super) is_whole: bool,
    /// What `connection` blocks say.
    pub(super) connections: Vec<RemoteDraft>,
}

/// A `remote` before what it leaves out is known.
pub(super) struct RemoteDraft {
    pub(super) host: String,
    pub(super) port: Option<u16>,
    pub(super) transport: Option<(Protocol, Family)>,
    pub(super) place: Place,
}

/// `mssfix` before its default is known.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum MssfixDraft {
    /// Not given, or given without a number.
    Default,
    /// `mssfix N`; with 0 it is off.
    Given(Mssfix),
}

/// What begins with `management-`.
#[derive(Default)]
pub(super) struct ManagementExtra {
    pub(super) client: bool,
    pub(super) hold: bool,
    pub(super) signal: bool,
    pub(super) up_down: bool,
    pub(super) log_cache: Option<u32>,
    pub(super) client_user: Option<String>,
    pub(super) client_group: Option<String>,
}

impl Draft {
    pub(super) fn new(services: Services) -> Self {
        let nowhere = Place { file: None, line: 0 };
        let nothing = Secret { source: SecretSource::Inline(Zeroizing::new(String::new())), place: nowhere };
        Self {
            options: Options::new(nothing),
            findings: Vec::new(),
            secret: None,
            dev: None,
            dev_type: None,
            ifconfig: None,
            nobind: false,
            bind: false,
            lport_given: false,
            local_port: 1194,
            remote_port: 1194,
            remotes: Vec::new(),
            tun_mtu_given: false,
            mssfix: MssfixDraft::Default,
            ping: Duration::ZERO,
            ping_timeout: None,
            keepalive: None,
            status: None,
            status_version: 1,
            management: None,
            management_wants: Vec::new(),
            management_extra: ManagementExtra::default(),
            keysize: None,
            foreign_options: 0,
            ignored: Vec::new(),
            forward_compatible: false,
            strange: Vec::new(),
            wrong: Vec::new(),
            tls: Vec::new(),
            server: Vec::new(),
            services,
            is_whole: true,
            connections: Vec::new(),
        }
    }

    /// Sets a variable for scripts: of the name letters, digits and underscores stay, of the value what is no control
    /// character (env_set.c, `setenv_str`; buffer.c, `char_class`).
    pub(super) fn set_variable(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name: String = name.chars().filter(|&c| c.is_ascii_alphanumeric() || c == '_').collect();
        let value = value.as_ref().iter().copied().filter(|byte| !byte.is_ascii_control()).collect();
        self.options.environment.retain(|(other, _)| *other != name);
        self.options.environment.push((name, value));
    }

    pub(super) fn warn(&mut self, directive: &Directive, text: impl Into<String>) {
        self.findings.push(Finding::warning(&directive.place, text));
    }

    pub(super) fn note(&mut self, directive: &Directive, text: impl Into<String>) {
        self.findings.push(Finding::note(&directive.place, text));
    }

    /// The place of the last directive of that name.
    pub(super) fn place(&self, name: &str) -> Option<Place> {
        self.options.places.get(name).cloned()
    }

    /// An error about the last directive of that name.
    pub(super) fn error_at(&mut self, name: &str, text: impl Into<String>) {
        let finding = Finding {
            severity: crate::finding::Severity::Error,
            place: self.place(name),
            text: scrub(&text.into()).into_owned(),
        };
        self.findings.push(finding);
    }

    /// `mssfix` worked out (options.c, `options_postprocess_mutate_ce`).
    pub(super) fn work_out_mssfix(&mut self) {
        let options = &mut self.options;
        options.mssfix = match self.mssfix {
            MssfixDraft::Given(mssfix) => Some(mssfix).filter(|mssfix| mssfix.bytes > 0),
            MssfixDraft::Default => match (options.fragment, options.link_mtu) {
                (Some(bytes), _) => Some(Mssfix { bytes, counts: MssfixCounts::Packet }),
                (None, Some(_)) => None,
                (None, None) if options.tun_mtu == 1500 => Some(Mssfix::DEFAULT),
                (None, None) => Some(Mssfix { bytes: options.tun_mtu, counts: MssfixCounts::Inner }),
            },
        };
    }

    /// `status` and `management` with what belongs to them.
    pub(super) fn put_together(&mut self) {
        self.options.remote_port = self.remote_port;
        self.options.status =
            self.status.take().map(|(path, every)| Status { path, every, version: self.status_version });
        let extra = std::mem::take(&mut self.management_extra);
        self.options.management = self.management.take().map(|management| Management {
            client: extra.client,
            hold: extra.hold,
            signal: extra.signal,
            up_down: extra.up_down,
            log_cache: extra.log_cache.unwrap_or(250),
            client_user: extra.client_user,
            client_group: extra.client_group,
            ..management
        });
    }
}
