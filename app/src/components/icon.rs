//! Icons: strokes on a grid of 16, drawn in the colour of the text beside them.

use leptos::prelude::*;

/// Which icon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Icon {
    Overview,
    Live,
    Attackers,
    Fleet,
    Theme,
    User,
    Close,
    Copy,
    Plus,
    Search,
    Pause,
    Play,
    Download,
    Alert,
    Help,
    Down,
    Swap,
    Stop,
    Again,
    Bin,
    Grid,
    Rows,
    Key,
    Leave,
    Columns,
    Credentials,
    Workers,
    Settings,
    Clock,
    Bell,
    Done,
}

impl Icon {
    /// Every icon.
    #[cfg(debug_assertions)]
    pub(crate) const ALL: &'static [Self] = &[
        Self::Overview,
        Self::Live,
        Self::Attackers,
        Self::Fleet,
        Self::Theme,
        Self::User,
        Self::Close,
        Self::Copy,
        Self::Plus,
        Self::Search,
        Self::Pause,
        Self::Play,
        Self::Download,
        Self::Alert,
        Self::Help,
        Self::Down,
        Self::Swap,
        Self::Stop,
        Self::Again,
        Self::Bin,
        Self::Grid,
        Self::Rows,
        Self::Key,
        Self::Leave,
        Self::Columns,
        Self::Credentials,
        Self::Workers,
        Self::Settings,
        Self::Clock,
        Self::Bell,
        Self::Done,
    ];

    /// Its strokes.
    fn path(self) -> &'static str {
        match self {
            Self::Overview => "M2.5 2.5h4.5v6h-4.5zM9 2.5h4.5v3.5H9zM9 8.5h4.5v5H9zM2.5 11h4.5v2.5h-4.5z",
            Self::Live => "M1.5 8h3l2-5 3 10 2-5h3",
            Self::Attackers => {
                "M8 1.5v3M8 11.5v3M1.5 8h3M11.5 8h3M8 3.8a4.2 4.2 0 1 0 0 8.4a4.2 4.2 0 1 0 0-8.4"
            }
            Self::Fleet => "M2.5 2.5h11v4.5h-11zM2.5 9h11v4.5h-11zM5 4.75h.01M5 11.25h.01M8 4.75h3M8 11.25h3",
            Self::Theme => {
                "M8 2.5a5.5 5.5 0 1 0 0 11a5.5 5.5 0 1 0 0-11M8 2.5v11M8 5.5l4.5-.5M8 8.5h5.4M8 11.5l4-.4"
            }
            Self::User => {
                "M8 8a2.75 2.75 0 1 0 0-5.5A2.75 2.75 0 1 0 8 8M2.5 13.5c.6-2.4 2.7-3.5 5.5-3.5s4.9 1.1 5.5 3.5"
            }
            Self::Close => "M3.5 3.5l9 9M12.5 3.5l-9 9",
            Self::Copy => "M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3",
            Self::Plus => "M8 3v10M3 8h10",
            Self::Search => "M7 2.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M10.3 10.3l3.2 3.2",
            Self::Pause => "M5.5 3v10M10.5 3v10",
            Self::Play => "M5 3l8 5-8 5z",
            Self::Download => "M8 2.5v8M4.8 7.5L8 10.7l3.2-3.2M2.5 13.5h11",
            Self::Alert => "M8 2l6.2 11.2H1.8zM8 6.5v3.2M8 11.5h.01",
            Self::Help => {
                "M6 6a2 2 0 1 1 2.7 1.9c-.5.2-.7.6-.7 1.3M8 11.6h.01M8 1.8a6.2 6.2 0 1 0 0 12.4A6.2 6.2 0 1 0 8 1.8"
            }
            Self::Down => "M4 6l4 4 4-4",
            Self::Swap => "M3 5.5h9M9.5 3L12 5.5 9.5 8M13 10.5H4M6.5 8L4 10.5 6.5 13",
            Self::Stop => "M4 4h8v8H4z",
            Self::Again => "M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3",
            Self::Bin => "M3 4.5h10M6 4.5v-2h4v2M4.2 4.5l.8 9h6l.8-9M6.8 7v4M9.2 7v4",
            Self::Grid => "M2.5 2.5H7V7H2.5zM9 2.5h4.5V7H9zM2.5 9H7v4.5H2.5zM9 9h4.5v4.5H9z",
            Self::Rows => "M2.5 4h11M2.5 8h11M2.5 12h11",
            Self::Key => "M6 7.5a2.75 2.75 0 1 0 0 5.5a2.75 2.75 0 1 0 0-5.5M8 8.3l5.5-5.5M11 5.3l2 2",
            Self::Columns => "M2.5 3h11v10h-11zM6.2 3v10M9.8 3v10",
            Self::Credentials => "M3.5 7h9v6.5h-9zM5.5 7V5a2.5 2.5 0 0 1 5 0v2M8 9.5v1.5",
            Self::Workers => {
                "M8 5.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5M8 1.8v2M8 12.2v2M1.8 8h2M12.2 8h2M3.6 3.6l1.4 1.4M11 11l1.4 1.4M3.6 12.4L5 11M11 5l1.4-1.4"
            }
            Self::Settings => {
                "M2.5 4.5h6M11.5 4.5h2M10 3v3M2.5 8h2M7.5 8h6M6 6.5v3M2.5 11.5h5M10.5 11.5h3M9 10v3"
            }
            Self::Clock => "M8 2.2a5.8 5.8 0 1 0 0 11.6A5.8 5.8 0 1 0 8 2.2M8 4.8V8l2.4 1.6",
            Self::Bell => "M4 11.5V7a4 4 0 0 1 8 0v4.5l1 1H3zM6.8 14h2.4",
            Self::Done => "M3 8.5l3.2 3.2L13 4.8",
            Self::Leave => "M6.5 2.5h-4v11h4M6.5 8h7.2M11 5l3 3-3 3",
        }
    }
}

/// An icon. It says nothing to a screen reader: the text or the label beside it does.
#[component]
pub(crate) fn Mark(icon: Icon) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
            <path d=icon.path() />
        </svg>
    }
}
