//! Calls and answers of the control socket, as JSON.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::target::{Target, TargetError};

/// What a running daemon can be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `meshtun.control.Status`: the answer is a [`crate::status::Status`].
    Status,
    /// `meshtun.control.Down`: say goodbye to the peers, remove devices and routes, stop. Answered when all is done,
    /// with `{"warnings": ["…"]}`.
    Down {
        /// Remove the `unreachable` routes too: packets for the peers' networks may then leave unencrypted.
        unprotect: bool,
    },
    /// `meshtun.control.Reload`: take the mesh file and the key files as they are now. Answered when all is done, with
    /// `{"changes": ["…"], "steps": ["…"], "warnings": ["…"]}`: what differed, and the commands that a person would have
    /// typed for it.
    Reload,
    /// `meshtun.control.TakeDown`: take a link or a channel out, losing nothing, until somebody brings it up again or the
    /// daemon restarts. Answered when it is out, with `{"channels": ["nq/2"]}`.
    TakeDown(Target),
    /// `meshtun.control.BringUp`: bring back what was taken down. Answered at once, with `{"channels": ["nq/2"]}`.
    BringUp(Target),
}

/// Why a call was not served. Its name and parameters are what the caller gets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The message is no JSON object with a `method`, or too long.
    #[error("malformed call: {0}")]
    Malformed(String),
    /// There is no such method.
    #[error("this version knows no method `{0}`")]
    MethodNotFound(String),
    /// The method's parameters are not as they should be.
    #[error("wrong parameters: {0}")]
    InvalidParameter(String),
    /// The caller is neither root nor the daemon's own user.
    #[error("only root and the user that runs the daemon may ask it")]
    PermissionDenied,
    /// The mesh file or a key file is wrong: nothing was changed.
    #[error("{0}")]
    Configuration(String),
    /// The daemon tried and did not succeed.
    #[error("{0}")]
    Failed(String),
}

/// What goes back: the answer's parameters, or why there is none.
pub(crate) type Answer = Result<Value, Refusal>;

#[derive(Serialize, Deserialize)]
struct Call {
    method: String,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct DownParameters {
    unprotect: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetParameters {
    target: String,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    parameters: Value,
}

impl Request {
    /// The call as it goes over the socket, without the NUL byte.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (method, parameters) = match self {
            Request::Status => (STATUS, json!({})),
            Request::Down { unprotect } => (DOWN, json!({ "unprotect": unprotect })),
            Request::Reload => (RELOAD, json!({})),
            Request::TakeDown(target) => (TAKE_DOWN, json!({ "target": target.to_string() })),
            Request::BringUp(target) => (BRING_UP, json!({ "target": target.to_string() })),
        };
        json!({ "method": method, "parameters": parameters }).to_string().into_bytes()
    }

    /// Reads a call.
    pub(crate) fn decode(message: &[u8]) -> Result<Request, Refusal> {
        let call: Call = serde_json::from_slice(message).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let parameters = call.parameters.unwrap_or_else(|| json!({}));
        match call.method.as_str() {
            STATUS => Ok(Request::Status),
            DOWN => {
                let DownParameters { unprotect } =
                    serde_json::from_value(parameters).map_err(|error| Refusal::InvalidParameter(error.to_string()))?;
                Ok(Request::Down { unprotect })
            }
            RELOAD => Ok(Request::Reload),
            TAKE_DOWN => Ok(Request::TakeDown(target(parameters)?)),
            BRING_UP => Ok(Request::BringUp(target(parameters)?)),
            _ => Err(Refusal::MethodNotFound(call.method)),
        }
    }
}

fn target(parameters: Value) -> Result<Target, Refusal> {
    let TargetParameters { target } =
        serde_json::from_value(parameters).map_err(|error| Refusal::InvalidParameter(error.to_string()))?;
    target.parse().map_err(|error: TargetError| Refusal::InvalidParameter(error.to_string()))
}

/// The answer as it goes over the socket, without the NUL byte.
pub(crate) fn encode_answer(answer: &Answer) -> Vec<u8> {
    let reply = match answer {
        Ok(parameters) => json!({ "parameters": parameters }),
        Err(refusal) => {
            let (error, parameters) = refusal.to_wire();
            json!({ "error": error, "parameters": parameters })
        }
    };
    reply.to_string().into_bytes()
}

/// Reads an answer; `Err` of the outer result if it is no answer at all.
pub(crate) fn decode_answer(message: &[u8]) -> Result<Answer, serde_json::Error> {
    let reply: Reply = serde_json::from_slice(message)?;
    Ok(match reply.error {
        None => Ok(reply.parameters),
        Some(error) => Err(Refusal::from_wire(&error, &reply.parameters)),
    })
}

impl Refusal {
    fn to_wire(&self) -> (&'static str, Value) {
        match self {
            Refusal::Malformed(reason) => (MALFORMED, json!({ "reason": reason })),
            Refusal::MethodNotFound(method) => (METHOD_NOT_FOUND, json!({ "method": method })),
            Refusal::InvalidParameter(parameter) => (INVALID_PARAMETER, json!({ "parameter": parameter })),
            Refusal::PermissionDenied => (PERMISSION_DENIED, json!({})),
            Refusal::Configuration(reason) => (CONFIGURATION, json!({ "reason": reason })),
            Refusal::Failed(reason) => (FAILED, json!({ "reason": reason })),
        }
    }

    fn from_wire(error: &str, parameters: &Value) -> Refusal {
        let text = |key: &str| parameters[key].as_str().unwrap_or_default().to_owned();
        match error {
            MALFORMED => Refusal::Malformed(text("reason")),
            METHOD_NOT_FOUND => Refusal::MethodNotFound(text("method")),
            INVALID_PARAMETER => Refusal::InvalidParameter(text("parameter")),
            PERMISSION_DENIED => Refusal::PermissionDenied,
            CONFIGURATION => Refusal::Configuration(text("reason")),
            FAILED => Refusal::Failed(text("reason")),
            unknown => Refusal::Failed(format!("{unknown} {parameters}")),
        }
    }
}

const STATUS: &str = "meshtun.control.Status";
const DOWN: &str = "meshtun.control.Down";
const RELOAD: &str = "meshtun.control.Reload";
const TAKE_DOWN: &str = "meshtun.control.TakeDown";
const BRING_UP: &str = "meshtun.control.BringUp";

const MALFORMED: &str = "meshtun.control.Malformed";
const PERMISSION_DENIED: &str = "meshtun.control.PermissionDenied";
const CONFIGURATION: &str = "meshtun.control.Configuration";
const FAILED: &str = "meshtun.control.Failed";
/// These two are Varlink's own.
const METHOD_NOT_FOUND: &str = "org.varlink.service.MethodNotFound";
const INVALID_PARAMETER: &str = "org.varlink.service.InvalidParameter";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_survives_the_wire() {
        for request in [
            Request::Status,
            Request::Down { unprotect: false },
            Request::Down { unprotect: true },
            Request::Reload,
            Request::TakeDown(Target { link: "nq".into(), channel: Some(2) }),
            Request::BringUp(Target { link: "nq".into(), channel: None }),
        ] {
            assert_eq!(Request::decode(&request.encode()), Ok(request));
        }
    }

    #[test]
    fn every_answer_survives_the_wire() {
        for answer in [
            Ok(json!({ "links": [] })),
            Err(Refusal::Malformed("no".into())),
            Err(Refusal::MethodNotFound("a.b.C".into())),
            Err(Refusal::InvalidParameter("x".into())),
            Err(Refusal::PermissionDenied),
            Err(Refusal::Configuration("mesh.toml:3: no".into())),
            Err(Refusal::Failed("disk full".into())),
        ] {
            assert_eq!(decode_answer(&encode_answer(&answer)).unwrap(), answer);
        }
    }

    #[test]
    fn parameters_may_be_left_out() {
        assert_eq!(Request::decode(br#"{"method":"meshtun.control.Down"}"#), Ok(Request::Down { unprotect: false }));
    }

    #[test]
    fn what_is_not_a_call_is_refused_with_a_reason() {
        for (message, expected) in [
            (&b""[..], "malformed"),
            (b"{", "malformed"),
            (b"[]", "malformed"),
            (b"\xff\xfe", "malformed"),
            (br#"{"parameters":{}}"#, "malformed"),
            (br#"{"method":7}"#, "malformed"),
            (br#"{"method":"meshtun.control.Explode"}"#, "no method `meshtun.control.Explode`"),
            (br#"{"method":"meshtun.control.Down","parameters":{"unprotect":"yes"}}"#, "wrong parameters"),
            (br#"{"method":"meshtun.control.Down","parameters":{"unprotec":true}}"#, "wrong parameters"),
            (br#"{"method":"meshtun.control.Down","parameters":7}"#, "wrong parameters"),
            (br#"{"method":"meshtun.control.TakeDown"}"#, "wrong parameters"),
            (br#"{"method":"meshtun.control.TakeDown","parameters":{"target":"nq/"}}"#, "LINK/CHANNEL"),
        ] {
            let refusal = Request::decode(message).unwrap_err().to_string();
            assert!(refusal.contains(expected), "{} gave: {refusal}", String::from_utf8_lossy(message));
        }
    }
}
