//! `OpenAI` chat completions.

use bytes::Bytes;
use reqwest::header::HeaderMap;

use super::{Adapter, Target};
use crate::error::{Error, ErrorKind, Result};
use crate::message::{Part, Reply, Request};
use crate::transport::WireRequest;

/// The protocol.
#[derive(Debug)]
pub(super) struct OpenAi;

impl Adapter for OpenAi {
    fn takes(&self, _part: &Part) -> bool {
        false
    }

    fn encode(&self, _target: &Target, _request: &Request) -> Result<WireRequest> {
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    fn decode(&self, _target: &Target, _request: &Request, _body: &Bytes) -> Result<Reply> {
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    fn decode_error(&self, _target: &Target, _status: u16, _headers: &HeaderMap, _body: &Bytes) -> Error {
        Error::new(ErrorKind::Internal, "not built yet")
    }

    fn models_request(&self, _target: &Target) -> Result<WireRequest> {
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }

    fn decode_models(&self, _body: &Bytes) -> Result<Vec<String>> {
        Err(Error::new(ErrorKind::Internal, "not built yet"))
    }
}
