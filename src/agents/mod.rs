//! The agents: typed input, prompt, typed output.
