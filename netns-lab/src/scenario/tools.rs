//! What joins the sites.

mod meshtun;
mod openvpn;

pub(super) use self::{
    meshtun::Meshtun,
    openvpn::{OpenVpn, PORT as OPENVPN_PORT},
};
