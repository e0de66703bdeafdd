//! The API of an OpenAI-compatible server.

use std::str::FromStr;

use super::choice::{choose, named};
use crate::error::{Error, Result};
use crate::named_enum::named_enum;

named_enum! {
    /// The API that requests to an OpenAI-compatible server use.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
    pub enum OpenAiApi {
        /// Chat completions, which every compatible server has.
        #[default]
        Chat = "chat",
        /// Responses, the newer API of OpenAI.
        Responses = "responses",
    }
}

impl FromStr for OpenAiApi {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        choose(name, named(Self::ALL, Self::as_str))
            .map_err(|names| Error::invalid_input(format!("unknown openai_api {name:?}: use {names}")))
    }
}
