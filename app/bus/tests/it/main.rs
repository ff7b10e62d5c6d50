//! The bus from outside: every transport by the same suite, the broker's promises, and outages.

#[cfg(test)]
mod broker;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod outage;
#[cfg(test)]
mod setup;
