//! The API of an OpenAI-compatible server.

use std::str::FromStr;

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
        Self::ALL
            .into_iter()
            .find(|api| api.as_str() == name)
            .ok_or_else(|| Error::invalid_input(format!("openai_api must be chat or responses, not {name:?}")))
    }
}
