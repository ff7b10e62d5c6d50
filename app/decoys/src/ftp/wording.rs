//! What the products say. Taken from transcripts of vsftpd 3.0.3 and ProFTPD 1.3.8 as Debian packages them; `tests/data` holds
//! them.

use std::net::SocketAddr;

/// Which product answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    VsFtpd,
    ProFtpd,
}

/// What is to be said; a name stands for a command or a path as the visitor wrote it.
pub(super) enum Say<'a> {
    TooMany,
    TooManyOfAddress,
    TooLong,
    Timeout,
    NotLoggedIn,
    Unknown(&'a str),
    NeedPassword(&'a str, bool),
    UserFirst,
    LoggedIn(&'a str, bool),
    LoginIncorrect,
    AlreadyLoggedIn(bool),
    Cwd(bool, &'a str),
    Type(&'a str),
    BadType(&'a str),
    NoData,
    DataFailed,
    DataRefused,
    ListStart,
    MachineListStart,
    ListEnd,
    RetrieveStart(&'a str, u64),
    RetrieveFailed(&'a str),
    StoreStart(&'a str),
    TransferEnd,
    Denied(&'a str),
    NoSize(&'a str),
    NoTime(&'a str),
    Deleted(bool, &'a str),
    Made(Option<&'a str>, &'a str),
    Removed(bool, &'a str),
    RenameFrom(bool, &'a str),
    RenameFirst,
    Renamed(bool, &'a str),
    BadPort(&'a str),
    BadStructure(&'a str),
    BadMode(&'a str),
    PasswordAgain,
    NotEncrypted(&'a str),
    NotImplemented(&'a str),
    Noop,
    Ok(&'a str),
    Goodbye,
}

/// What ProFTPD says of commands that it is asked about.
pub(super) const PROFTPD_SYNTAX: &[(&str, &str)] = &[
    ("CWD", " <sp> pathname"),
    ("XCWD", " <sp> pathname"),
    ("CDUP", " (up one directory)"),
    ("XCUP", " (up one directory)"),
    ("SMNT", " is not implemented"),
    ("QUIT", " (close control connection)"),
    ("PORT", " <sp> h1,h2,h3,h4,p1,p2"),
    ("PASV", " (returns address/port)"),
    ("EPRT", " <sp> |proto|addr|port|"),
    ("EPSV", " (returns port |||port|)"),
    ("ALLO", " <sp> size"),
    ("RNFR", " <sp> pathname"),
    ("RNTO", " <sp> pathname"),
    ("DELE", " <sp> pathname"),
    ("MDTM", " <sp> pathname"),
    ("RMD", " <sp> pathname"),
    ("XRMD", " <sp> pathname"),
    ("MKD", " <sp> pathname"),
    ("XMKD", " <sp> pathname"),
    ("PWD", " (returns current working directory)"),
    ("XPWD", " (returns current working directory)"),
    ("SIZE", " <sp> pathname"),
    ("SYST", " (returns system type)"),
    ("HELP", " [<sp> command]"),
    ("NOOP", " (no operation)"),
    ("FEAT", " (returns feature list)"),
    ("OPTS", " <sp> command [<sp> options]"),
    ("HOST", " <cp> hostname"),
    ("CLNT", " <cp> client-info"),
    ("AUTH", " <sp> base64-data"),
    ("CCC", " (clears protection level)"),
    ("CONF", " <sp> base64-data"),
    ("ENC", " <sp> base64-data"),
    ("MIC", " <sp> base64-data"),
    ("PBSZ", " <sp> protection buffer size"),
    ("PROT", " <sp> protection code"),
    ("TYPE", " <sp> type-code (A, I, L 7, L 8)"),
    ("STRU", " is not implemented (always F)"),
    ("MODE", " is not implemented (always S)"),
    ("RETR", " <sp> pathname"),
    ("STOR", " <sp> pathname"),
    ("STOU", " (store unique filename)"),
    ("APPE", " <sp> pathname"),
    ("REST", " <sp> byte-count"),
    ("ABOR", " (abort current operation)"),
    ("RANG", " <sp> start-point <sp> end-point"),
    ("USER", " <sp> username"),
    ("PASS", " <sp> password"),
    ("ACCT", " is not implemented"),
    ("REIN", " is not implemented"),
    ("LIST", " [<sp> pathname]"),
    ("NLST", " [<sp> (pathname)]"),
    ("STAT", " [<sp> pathname]"),
    ("MLSD", " [<sp> pathname]"),
    ("MLST", " [<sp> pathname]"),
];

pub(super) const PROFTPD_SITE_HELP: &str = "214-The following SITE commands are recognized (* =>'s unimplemented)\r\n CPFR <sp> \
    pathname\r\n CPTO <sp> pathname\r\n UTIME <sp> YYYYMMDDhhmm[ss] <sp> path\r\n SYMLINK <sp> source <sp> destination\r\n RMDIR \
    <sp> path\r\n MKDIR <sp> path\r\n The following SITE extensions are recognized:\r\n RATIO -- show all ratios in effect\r\n \
    QUOTA\r\n HELP\r\n CHGRP\r\n CHMOD\r\n214 Direct comments to root@localhost";

impl Product {
    /// The reply, without its line end.
    #[rustfmt::skip]
    pub(super) fn says(self, what: &Say<'_>) -> String {
        use Product::{ProFtpd as Pro, VsFtpd as Vs};
        match (self, what) {
            (Vs, Say::TooMany) => "421 There are too many connected users, please try later.".into(),
            (Vs, Say::TooManyOfAddress) => "421 There are too many connections from your internet address.".into(),
            (Pro, Say::TooMany | Say::TooManyOfAddress) => {
                "530 Sorry, the maximum number of allowed clients are already connected.".into()
            }
            (_, Say::TooLong) => "500 Input line too long.".into(),
            (Vs, Say::Timeout) => "421 Timeout.".into(),
            (Pro, Say::Timeout) => "421 Idle timeout (600 seconds): closing control connection".into(),
            (Vs, Say::NotLoggedIn) => "530 Please login with USER and PASS.".into(),
            (Pro, Say::NotLoggedIn) => "530 Please login with USER and PASS".into(),
            (Vs, Say::Unknown(_)) => "500 Unknown command.".into(),
            (Pro, Say::Unknown(command)) => format!("500 {} not understood", command.replace('_', " ")),
            (Vs, Say::NeedPassword(..)) => "331 Please specify the password.".into(),
            (Pro, Say::NeedPassword(_, true)) => "331 Anonymous login ok, send your complete email address as your password".into(),
            (Pro, Say::NeedPassword(user, false)) => format!("331 Password required for {user}"),
            (Vs, Say::UserFirst) => "503 Login with USER first.".into(),
            (Pro, Say::UserFirst) => "503 Login with USER first".into(),
            (Vs, Say::LoggedIn(..)) => "230 Login successful.".into(),
            (Pro, Say::LoggedIn(_, true)) => "230 Anonymous access granted, restrictions apply".into(),
            (Pro, Say::LoggedIn(user, false)) => format!("230 User {user} logged in"),
            (_, Say::LoginIncorrect) => "530 Login incorrect.".into(),
            (Vs, Say::AlreadyLoggedIn(true)) => "530 Can't change from guest user.".into(),
            (Vs, Say::AlreadyLoggedIn(false)) => "530 Can't change to another user.".into(),
            (Pro, Say::AlreadyLoggedIn(_)) => "501 Reauthentication not supported".into(),
            (Vs, Say::Cwd(true, _)) => "250 Directory successfully changed.".into(),
            (Vs, Say::Cwd(false, _)) => "550 Failed to change directory.".into(),
            (Pro, Say::Cwd(true, _)) => "250 CWD command successful".into(),
            (Pro, Say::Cwd(false, path)) => format!("550 {path}: No such file or directory"),
            (Vs, Say::Type("A")) => "200 Switching to ASCII mode.".into(),
            (Vs, Say::Type(_)) => "200 Switching to Binary mode.".into(),
            (Pro, Say::Type(kind)) => format!("200 Type set to {kind}"),
            (Vs, Say::BadType(_)) => "500 Unrecognised TYPE command.".into(),
            (Pro, Say::BadType(kind)) => format!("504 TYPE not implemented for '{kind}' parameter"),
            (Vs, Say::NoData) => "425 Use PORT or PASV first.".into(),
            // Without a PORT it connects to where the visitor comes from, where nobody listens.
            (Pro, Say::NoData | Say::DataRefused) => "425 Unable to build data connection: Connection refused".into(),
            (Vs, Say::DataFailed | Say::DataRefused) => "425 Failed to establish connection.".into(),
            (Pro, Say::DataFailed) => "425 Unable to build data connection: Connection timed out".into(),
            (Vs, Say::ListStart) => "150 Here comes the directory listing.".into(),
            (Pro, Say::ListStart) => "150 Opening ASCII mode data connection for file list".into(),
            (_, Say::MachineListStart) => "150 Opening ASCII mode data connection for MLSD".into(),
            (Vs, Say::ListEnd) => "226 Directory send OK.".into(),
            (Vs, Say::RetrieveStart(path, size)) => format!("150 Opening BINARY mode data connection for {path} ({size} bytes)."),
            (Pro, Say::RetrieveStart(path, size)) => format!("150 Opening BINARY mode data connection for {path} ({size} bytes)"),
            (Vs, Say::RetrieveFailed(_)) => "550 Failed to open file.".into(),
            (Vs, Say::StoreStart(_)) => "150 Ok to send data.".into(),
            (Pro, Say::StoreStart(path)) => format!("150 Opening BINARY mode data connection for {path}"),
            (Vs, Say::TransferEnd) => "226 Transfer complete.".into(),
            (Pro, Say::TransferEnd | Say::ListEnd) => "226 Transfer complete".into(),
            (Vs, Say::Denied(_)) => "550 Permission denied.".into(),
            (Pro, Say::Denied(path)) => format!("550 {path}: Permission denied"),
            (Vs, Say::NoSize(_)) => "550 Could not get file size.".into(),
            (Vs, Say::NoTime(_)) => "550 Could not get file modification time.".into(),
            (Vs, Say::Deleted(true, _)) => "250 Delete operation successful.".into(),
            (Vs, Say::Deleted(false, _)) => "550 Delete operation failed.".into(),
            (Pro, Say::Deleted(true, _)) => "250 DELE command successful".into(),
            (Vs, Say::Made(Some(made), _)) => format!("257 \"{made}\" created"),
            (Vs, Say::Made(None, _)) => "550 Create directory operation failed.".into(),
            (Pro, Say::Made(Some(made), _)) => format!("257 \"{made}\" - Directory successfully created"),
            (Pro, Say::Made(None, path)) => format!("550 {path}: File exists"),
            (Vs, Say::Removed(true, _)) => "250 Remove directory operation successful.".into(),
            (Vs, Say::Removed(false, _)) => "550 Remove directory operation failed.".into(),
            (Pro, Say::Removed(true, _)) => "250 RMD command successful".into(),
            (Vs, Say::RenameFrom(true, _)) => "350 Ready for RNTO.".into(),
            (Vs, Say::RenameFrom(false, _)) => "550 RNFR command failed.".into(),
            (Pro, Say::RenameFrom(true, _)) => "350 File or directory exists, ready for destination name".into(),
            (Vs, Say::RenameFirst) => "503 RNFR required first.".into(),
            (Pro, Say::RenameFirst) => "503 Bad sequence of commands".into(),
            (Vs, Say::Renamed(true, _)) => "250 Rename successful.".into(),
            (Vs, Say::Renamed(false, _)) => "550 Rename failed.".into(),
            (Pro, Say::Renamed(true, _)) => "250 Rename successful".into(),
            (Vs, Say::BadPort(command)) => format!("500 Illegal {command} command."),
            (Pro, Say::BadPort(command)) => format!("500 Illegal {command} command"),
            (Vs, Say::BadStructure(_)) => "504 Bad STRU command.".into(),
            (Pro, Say::BadStructure(kind)) => format!("504 '{kind}' unsupported structure type"),
            (Vs, Say::BadMode(_)) => "504 Bad MODE command.".into(),
            (Pro, Say::BadMode(kind)) => format!("504 '{kind}' unsupported transfer mode"),
            (Vs, Say::PasswordAgain) => "230 Already logged in.".into(),
            (Pro, Say::PasswordAgain) => "503 You are already logged in".into(),
            (Vs, Say::NotEncrypted(command)) => format!("503 {command} needs a secure connection."),
            (Pro, Say::NotEncrypted(command)) => format!("503 {command} not allowed on insecure control connection"),
            (Vs, Say::NotImplemented(command)) => format!("502 {command} not implemented."),
            (Pro, Say::NotImplemented(command)) => format!("502 {command} command not implemented"),
            (Vs, Say::Noop) => "200 NOOP ok.".into(),
            (Pro, Say::Noop) => "200 NOOP command successful".into(),
            (Vs, Say::Ok(command)) => format!("200 {command} command successful. Consider using PASV."),
            (Pro, Say::Ok(command)) => format!("200 {command} command successful"),
            (_, Say::Goodbye) => "221 Goodbye.".into(),
            (Pro, Say::RetrieveFailed(path) | Say::NoSize(path) | Say::NoTime(path) | Say::Deleted(false, path)
                | Say::Removed(false, path) | Say::RenameFrom(false, path) | Say::Renamed(false, path)) =>
                format!("550 {path}: No such file or directory"),
        }
    }

    /// The greeting of a connection that reached `local`.
    pub(super) fn greeting(self, banner: &str, local: SocketAddr) -> String {
        match self {
            Self::VsFtpd => format!("220 {banner}"),
            // ProFTPD names the address that was reached, as its IPv6 socket sees it.
            Self::ProFtpd => match local.ip().to_canonical() {
                std::net::IpAddr::V4(v4) => format!("220 {banner} [::ffff:{v4}]"),
                std::net::IpAddr::V6(v6) => format!("220 {banner} [{v6}]"),
            },
        }
    }

    /// The lines of FEAT, without those of TLS.
    pub(super) fn features(self, debian: bool) -> Vec<&'static str> {
        let mut out = match self {
            Self::VsFtpd => vec!["EPRT", "EPSV", "MDTM", "PASV", "REST STREAM", "SIZE", "TVFS"],
            Self::ProFtpd => vec![
                "CLNT",
                "CSID",
                "EPRT",
                "EPSV",
                "HOST",
                "LANG C.UTF-8*",
                "MDTM",
                "MFF modify;UNIX.group;UNIX.mode;",
                "MFMT",
                "MLST modify*;perm*;size*;type*;unique*;UNIX.group*;UNIX.groupname*;UNIX.mode*;UNIX.owner*;UNIX.ownername*;",
                "RANG STREAM",
                "REST STREAM",
                "SIZE",
                "TVFS",
                "UTF8",
            ],
        };
        if debian && self == Self::ProFtpd {
            // mod_copy and mod_site_misc, which Debian loads.
            out.extend([
                "SITE COPY",
                "SITE MKDIR",
                "SITE RMDIR",
                "SITE SYMLINK",
                "SITE UTIME",
            ]);
            out.sort_unstable_by_key(|line| (line.split(' ').next(), *line));
        }
        out
    }

    /// The reply of HELP.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::VsFtpd => {
                "214-The following commands are recognized.\r\n ABOR ACCT ALLO APPE CDUP CWD  DELE EPRT EPSV FEAT HELP LIST MDTM MKD\r\n MODE NLST NOOP OPTS PASS PASV PORT PWD  QUIT REIN REST RETR RMD  RNFR\r\n RNTO SITE SIZE SMNT STAT STOR STOU STRU SYST TYPE USER XCUP XCWD XMKD\r\n XPWD XRMD\r\n214 Help OK."
            }
            Self::ProFtpd => {
                "214-The following commands are recognized (* =>'s unimplemented):\r\n CWD     XCWD    CDUP    XCUP    SMNT*   QUIT    PORT    PASV    \r\n EPRT    EPSV    ALLO    RNFR    RNTO    DELE    MDTM    RMD     \r\n XRMD    MKD     XMKD    PWD     XPWD    SIZE    SYST    HELP    \r\n NOOP    FEAT    OPTS    HOST    CLNT    AUTH*   CCC*    CONF*   \r\n ENC*    MIC*    PBSZ*   PROT*   TYPE    STRU    MODE    RETR    \r\n STOR    STOU    APPE    REST    ABOR    RANG    USER    PASS    \r\n ACCT*   REIN*   LIST    NLST    STAT    SITE    MLSD    MLST    \r\n214 Direct comments to root@localhost"
            }
        }
    }
}
