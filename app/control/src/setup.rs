//! What each product is told, so that it answers as its package's configuration has it.

use std::{
    fs::{self, Permissions},
    io,
    net::{Ipv4Addr, SocketAddr},
    os::unix::{
        fs::{PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use nix::unistd::{User, geteuid};

use crate::{
    Absence, Control, Installed, Product, Words, found,
    process::{Ending, Postfix, Process, a_moment, last_words, told},
};

/// How long a server may take until it answers: a database makes its files first.
const PATIENCE: Duration = Duration::from_secs(60);
/// What a server says of itself, in its folder.
const LOG: &str = "said";

/// The version that `program` tells.
pub(crate) fn version(product: Product, program: &Path) -> Result<String, Absence> {
    let mut command = Command::new(program);
    // Words before the version.
    let before = match product {
        Product::OpenSsh => {
            command.arg("-V");
            "OpenSSH_"
        }
        Product::Nginx => {
            command.arg("-v");
            "nginx/"
        }
        Product::Apache => {
            command.arg("-v");
            "Apache/"
        }
        Product::Redis => {
            command.arg("--version");
            "v="
        }
        Product::MariaDb => {
            command.args(["--no-defaults", "--version"]);
            "Ver "
        }
        Product::Postfix => {
            command = Command::new(found("postconf", product)?);
            command.args(["-d", "mail_version"]);
            "mail_version = "
        }
        Product::Exim => {
            // It reads a configuration before it says anything.
            command.args(["-C", "/dev/null", "-bV"]);
            "Exim version "
        }
        Product::VsFtpd => {
            command.arg("-v");
            "version "
        }
        Product::ProFtpd => {
            command.arg("-v");
            "Version "
        }
    };
    let text = told(&mut command).map_err(|error| {
        Absence::Io(
            product,
            format!("ask {} for its version", program.display()),
            error,
        )
    })?;
    let version = text
        .split_once(before)
        .and_then(|(_, rest)| rest.split([' ', ',', '\n', '\r']).next());
    match version {
        Some(version) if version.starts_with(|c: char| c.is_ascii_digit()) => Ok(version.to_owned()),
        _ => Err(Absence::Version(product, text.trim().to_owned())),
    }
}

/// See [`crate::start`].
pub(crate) async fn start(server: &Installed, words: Words<'_>) -> Result<Control, Absence> {
    let product = server.product;
    let fault = |what: &'static str| move |error| Absence::Io(product, what.to_owned(), error);
    let folder = tempfile::Builder::new()
        .prefix("control-")
        .tempdir()
        .map_err(fault("a temporary folder"))?;
    // The port is free again between the two; should somebody take it, the server says so and ends.
    let address = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|free| free.local_addr())
        .map_err(fault("a free port"))?;
    let place = Place {
        server,
        words: Words {
            host: if words.host.is_empty() {
                "localhost"
            } else {
                words.host
            },
            ..words
        },
        address,
        folder: folder.path(),
    };
    let ending = match product {
        Product::OpenSsh => place.sshd().await?,
        Product::Nginx => place.nginx()?,
        Product::Apache => place.apache()?,
        Product::Redis => place.redis()?,
        Product::MariaDb => place.mariadbd().await?,
        Product::Postfix => place.postfix()?,
        Product::Exim => place.exim()?,
        Product::VsFtpd => place.vsftpd()?,
        Product::ProFtpd => place.proftpd()?,
    };
    let mut control = Control {
        ending,
        address,
        version: server.version.clone(),
        folder,
    };
    answering(product, &mut control).await?;
    if product == Product::MariaDb {
        tables(&control).await?;
    }
    Ok(control)
}

/// Wait until it takes visitors.
async fn answering(product: Product, control: &mut Control) -> Result<(), Absence> {
    let until = Instant::now() + PATIENCE;
    loop {
        if tokio::net::TcpStream::connect(control.address).await.is_ok() {
            return Ok(());
        }
        let ended = control
            .ending
            .ended()
            .map_err(|error| Absence::Io(product, "wait for it".to_owned(), error))?;
        let said = || last_words(&control.folder.path().join(LOG));
        if let Some(status) = ended {
            return Err(Absence::Silent(product, format!("{} ({status})", said())));
        }
        if Instant::now() > until {
            return Err(Absence::Silent(product, said()));
        }
        a_moment().await;
    }
}

/// Have a database, and an account that may read a table of it.
async fn tables(control: &Control) -> Result<(), Absence> {
    const SQL: &str = "create database b; create table b.t (id int primary key, v varchar(20)); insert into b.t values \
                       (1,'x'); delete from mysql.global_priv where User=''; flush privileges; create user r@localhost \
                       identified by 'p'; grant select on b.* to r@localhost;";
    let product = Product::MariaDb;
    let client = found("mariadb", product).or_else(|_| found("mysql", product))?;
    let until = Instant::now() + PATIENCE;
    loop {
        let made = Command::new(&client)
            .args(["--no-defaults", "-uroot", "-e", SQL, "-S"])
            .arg(control.folder.path().join("s"))
            .output()
            .map_err(|error| Absence::Io(product, client.display().to_string(), error))?;
        if made.status.success() {
            return Ok(());
        }
        if Instant::now() > until {
            let said = String::from_utf8_lossy(&made.stderr).trim().to_owned();
            return Err(Absence::Silent(product, said));
        }
        a_moment().await;
    }
}

/// Where a server is to be started, and as what.
struct Place<'a> {
    server: &'a Installed,
    words: Words<'a>,
    address: SocketAddr,
    folder: &'a Path,
}

impl Place<'_> {
    fn fault(&self, what: &str) -> impl FnOnce(io::Error) -> Absence + use<> {
        let (product, what) = (self.server.product, what.to_owned());
        move |error| Absence::Io(product, what, error)
    }

    /// Write the file `name`, and give its path.
    fn file(&self, name: &str, text: &str) -> Result<std::path::PathBuf, Absence> {
        let path = self.folder.join(name);
        fs::write(&path, text).map_err(self.fault(name))?;
        Ok(path)
    }

    fn folders(&self, names: &[&str]) -> Result<(), Absence> {
        for name in names {
            fs::create_dir_all(self.folder.join(name)).map_err(self.fault(name))?;
        }
        Ok(())
    }

    /// Let those in that a server becomes when it gives up root.
    fn open_to_all(&self) -> Result<(), Absence> {
        fs::set_permissions(self.folder, Permissions::from_mode(0o755)).map_err(self.fault("its folder"))
    }

    /// Let the server's own account have these folders.
    fn give(&self, account: &str, folders: &[&str]) -> Result<(), Absence> {
        let owner = User::from_name(account)
            .map_err(|error| self.fault(account)(error.into()))?
            .ok_or_else(|| Absence::Silent(self.server.product, format!("there is no account {account}")))?;
        for name in folders {
            chown(
                self.folder.join(name),
                Some(owner.uid.as_raw()),
                Some(owner.gid.as_raw()),
            )
            .map_err(self.fault(name))?;
        }
        Ok(())
    }

    /// The server's own program, to be given its words.
    fn command(&self) -> Command {
        let mut command = Command::new(&self.server.program);
        command.current_dir(self.folder);
        command
    }

    fn spawn(&self, command: &mut Command) -> Result<Process, Absence> {
        let program = command.get_program().to_string_lossy().into_owned();
        Process::spawn(command, &self.folder.join(LOG)).map_err(self.fault(&program))
    }

    fn running(&self, command: &mut Command) -> Result<Ending, Absence> {
        self.spawn(command).map(Ending::Process)
    }

    /// Run `command` to its good end.
    async fn run(&self, command: &mut Command) -> Result<(), Absence> {
        let program = command.get_program().to_string_lossy().into_owned();
        let status = self
            .spawn(command)?
            .finished(PATIENCE)
            .await
            .map_err(self.fault(&program))?;
        if status.success() {
            return Ok(());
        }
        let said = last_words(&self.folder.join(LOG));
        Err(Absence::Silent(
            self.server.product,
            format!("{program}: {said} ({status})"),
        ))
    }

    /// `/usr` of the server: what belongs to it is found beside it.
    fn prefix(&self) -> &Path {
        self.server
            .program
            .ancestors()
            .nth(2)
            .unwrap_or_else(|| Path::new("/usr"))
    }

    async fn sshd(&self) -> Result<Ending, Absence> {
        let root = geteuid().is_root();
        if root {
            // Its package has it made at the start of the system. It stays, because every sshd needs it.
            fs::create_dir_all("/run/sshd").map_err(self.fault("/run/sshd"))?;
        }
        let f = self.folder.display();
        // Who has the key `owner` is let in, as with a decoy who has any password. Only root's sshd can ask PAM.
        let mut config = format!(
            "ListenAddress {}\nPidFile none\nMaxStartups 200\nKbdInteractiveAuthentication no\nUsePAM {}\nX11Forwarding yes\n\
             PrintMotd no\nAcceptEnv LANG LC_*\nSubsystem sftp /usr/lib/openssh/sftp-server\nAuthorizedKeysFile \
             {f}/owner.pub\nStrictModes no\n",
            self.address,
            if root { "yes" } else { "no" },
        );
        let keygen = found("ssh-keygen", Product::OpenSsh)?;
        for (name, kind) in [
            ("rsa", "rsa"),
            ("ecdsa", "ecdsa"),
            ("ed25519", "ed25519"),
            ("owner", "ed25519"),
        ] {
            let mut make = Command::new(&keygen);
            make.args(["-q", "-t", kind, "-N", "", "-f"])
                .arg(self.folder.join(name));
            self.run(&mut make).await?;
            if name != "owner" {
                config.push_str("HostKey ");
                config.push_str(&self.folder.join(name).to_string_lossy());
                config.push('\n');
            }
        }
        let file = self.file("sshd_config", &config)?;
        self.running(self.command().args(["-D", "-e", "-f"]).arg(file))
    }

    /// What a web server serves: a page, a folder that may not be listed, and a text too short to compress.
    fn pages(&self) -> Result<(), Absence> {
        self.folders(&["html/wp-content"])?;
        self.file("html/index.html", &"<!DOCTYPE html>\nx".repeat(20))?;
        self.file(
            "html/robots.txt",
            "User-agent: *\nDisallow: /wp-admin/\nAllow: /wp-admin/admin-ajax.php\n",
        )?;
        Ok(())
    }

    fn nginx(&self) -> Result<Ending, Absence> {
        self.pages()?;
        let (f, address) = (self.folder.display(), self.address);
        // One process, so that ending it ends all of it.
        let config = format!(
            "daemon off; master_process off; pid {f}/pid; error_log {f}/err;\nevents {{}}\nhttp {{ access_log off; gzip on; \
             client_body_temp_path {f}/b; proxy_temp_path {f}/p; fastcgi_temp_path {f}/f; uwsgi_temp_path {f}/u; \
             scgi_temp_path {f}/s; types {{ text/html html; text/plain txt; }} server {{ listen {address}; root \
             {f}/html; location / {{ try_files $uri $uri/ =404; }} }} }}\n"
        );
        let file = self.file("nginx.conf", &config)?;
        self.running(self.command().arg("-p").arg(self.folder).arg("-c").arg(file))
    }

    /// With those modules of the ones that Debian enables that its answers need.
    fn apache(&self) -> Result<Ending, Absence> {
        self.pages()?;
        self.folders(&["icons/small"])?;
        self.open_to_all()?;
        let modules = self.prefix().join("lib/apache2/modules");
        let (f, m) = (self.folder.display(), modules.display());
        let load: String = [
            "mpm_event",
            "authz_core",
            "dir",
            "mime",
            "autoindex",
            "alias",
            "filter",
            "deflate",
            "reqtimeout",
            "status",
        ]
        .map(|name| format!("LoadModule {name}_module {m}/mod_{name}.so\n"))
        .concat();
        let account = if geteuid().is_root() {
            "User www-data\nGroup www-data\n"
        } else {
            ""
        };
        let config = format!(
            "ServerRoot {f}\nPidFile {f}/pid\nListen {address}\nServerName {host}:{port}\nErrorLog {f}/err\nDefaultRuntimeDir \
             {f}\nMutex file:{f} default\n{load}{account}TypesConfig /dev/null\nAddType text/html .html\nAddType text/plain \
             .txt\nAddOutputFilterByType DEFLATE text/html text/plain\nServerTokens OS\nServerSignature On\nTraceEnable \
             Off\nKeepAliveTimeout 5\nDocumentRoot {f}/html\nOptions FollowSymLinks\n<FilesMatch \"^\\.ht\">\nRequire all \
             denied\n</FilesMatch>\nAlias /icons/ {f}/icons/\n<Location /server-status>\nSetHandler server-status\nRequire all \
             denied\n</Location>\n",
            address = self.address,
            host = self.words.host,
            port = self.address.port(),
        );
        let file = self.file("apache2.conf", &config)?;
        self.running(self.command().arg("-X").arg("-f").arg(file))
    }

    fn redis(&self) -> Result<Ending, Absence> {
        let port = self.address.port().to_string();
        self.running(
            self.command()
                .args(["--bind", "127.0.0.1", "--port", &port, "--save", "", "--dir"])
                .arg(self.folder),
        )
    }

    async fn mariadbd(&self) -> Result<Ending, Absence> {
        let product = self.server.product;
        let user = User::from_uid(geteuid())
            .map_err(|error| Absence::Io(product, "who runs this".to_owned(), error.into()))?
            .map_or_else(|| "root".to_owned(), |user| user.name);
        let data = self.folder.join("data");
        let mut install = Command::new(found("mariadb-install-db", product)?);
        install
            .args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--skip-name-resolve",
            ])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--user={user}"));
        self.run(&mut install).await?;
        let f = self.folder.display();
        let mut server = self.command();
        server
            .args([
                "--no-defaults",
                "--bind-address=127.0.0.1",
                "--character-set-server=utf8mb4",
                "--basedir=/usr",
            ])
            .arg(format!("--datadir={}", data.display()))
            .arg(format!("--socket={f}/s"))
            .arg(format!("--pid-file={f}/pid"))
            .arg(format!("--port={}", self.address.port()))
            .arg(format!("--user={user}"));
        if !self.words.version.is_empty() {
            server.arg(format!("--version={}", self.words.version));
        }
        self.running(&mut server)
    }

    fn postfix(&self) -> Result<Ending, Absence> {
        self.open_to_all()?;
        self.folders(&["conf", "queue", "data"])?;
        self.give("postfix", &["data"])?;
        let (f, Words { host, domain, .. }) = (self.folder.display(), self.words);
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {f}/queue\ndata_directory = {f}/data\nmaillog_file_prefixes = \
             {f}\nmaillog_file = {f}/data/log\nmyhostname = {host}\nmydestination = {domain}, {host}\nmynetworks = \
             192.0.2.0/24\ninet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nalias_maps =\nalias_database \
             =\nlocal_recipient_maps = inline:{{postmaster=local, root=local}}\nsmtpd_relay_restrictions = permit_mynetworks \
             permit_sasl_authenticated defer_unauth_destination\nsmtpd_banner = $myhostname ESMTP $mail_name \
             (Debian/GNU)\nsmtpd_error_sleep_time = 0\nsmtpd_tls_security_level = none\n"
        );
        let master = format!(
            "127.0.0.1:{} inet n - n - - smtpd\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - \
             trivial-rewrite\nproxymap unix - - n - - proxymap\nanvil unix - - n - 1 anvil\npostlog unix-dgram n - n - 1 \
             postlogd\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\ntrace unix - - n - 0 bounce\nlocal unix - n n - \
             - discard\n",
            self.address.port()
        );
        self.file("conf/main.cf", &main)?;
        self.file("conf/master.cf", &master)?;
        let running = Postfix {
            program: self.server.program.clone(),
            conf: self.folder.join("conf"),
        };
        // Waited for here, whoever waits no more: a Postfix that is half started cannot be stopped.
        let said = told(
            self.command()
                .process_group(0)
                .arg("-c")
                .arg(&running.conf)
                .arg("start"),
        )
        .map_err(self.fault("start"))?;
        self.file(LOG, &said)?;
        Ok(Ending::Postfix(running))
    }

    /// As Debian's configuration for a site that takes mail from the network, as far as a visitor sees it.
    fn exim(&self) -> Result<Ending, Absence> {
        self.open_to_all()?;
        self.folders(&["spool", "log"])?;
        self.give("Debian-exim", &["spool", "log"])?;
        let (f, Words { host, domain, .. }) = (self.folder.display(), self.words);
        let config = format!(
            "primary_hostname = {host}\ndomainlist local_domains = {domain} : {host}\nspool_directory = {f}/spool\nlog_file_path = \
             {f}/log/%slog\npid_file_path = {f}/pid\nhost_lookup =\nrfc1413_query_timeout = 0s\nprdr_enable = \
             true\nsmtputf8_advertise_hosts =\nqualify_domain = {domain}\nkeep_environment =\nacl_smtp_rcpt = acl_check_rcpt\nbegin acl\nacl_check_rcpt:\n  \
             accept local_parts = postmaster\n    domains = +local_domains\n  require message = relay not permitted\n    domains \
             = +local_domains\n  deny message = Unknown user\nbegin routers\nlocal:\n  driver = accept\n  domains = \
             +local_domains\n  transport = nowhere\nbegin transports\nnowhere:\n  driver = appendfile\n  file = /dev/null\n  user \
             = nobody\n"
        );
        let file = self.file("exim.conf", &config)?;
        let address = format!("127.0.0.1.{}", self.address.port());
        self.running(
            self.command()
                .args(["-bdf", "-oX", &address, "-oP"])
                .arg(self.folder.join("pid"))
                .arg("-C")
                .arg(file),
        )
    }

    /// Guests are the account `ftp`, which the packages of both servers make; vsftpd wants one with a home.
    fn guest() -> &'static str {
        let has_home = |name: &&str| matches!(User::from_name(name), Ok(Some(user)) if user.dir.is_dir());
        ["ftp", "nobody"].into_iter().find(has_home).unwrap_or("daemon")
    }

    fn vsftpd(&self) -> Result<Ending, Absence> {
        self.open_to_all()?;
        self.folders(&["pub", "empty"])?;
        let (f, guest) = (self.folder.display(), Self::guest());
        let config = format!(
            "listen=YES\nlisten_ipv6=NO\nlisten_address=127.0.0.1\nlisten_port={port}\nbackground=NO\nanonymous_enable=YES\n\
             local_enable=YES\nwrite_enable=YES\nanon_upload_enable=YES\nanon_mkdir_write_enable=YES\n\
             anon_other_write_enable=YES\nanon_root={f}/pub\nftp_username={guest}\nsecure_chroot_dir={f}/empty\n\
             dirmessage_enable=YES\nuse_localtime=YES\npam_service_name=vsftpd\nssl_enable=NO\n",
            port = self.address.port(),
        );
        let file = self.file("vsftpd.conf", &config)?;
        self.running(self.command().arg(file))
    }

    fn proftpd(&self) -> Result<Ending, Absence> {
        self.open_to_all()?;
        self.folders(&["pub"])?;
        // Its modules are part of what it answers.
        let modules = self
            .prefix()
            .parent()
            .unwrap_or_else(|| Path::new("/"))
            .join("etc/proftpd/modules.conf");
        let include = if modules.exists() {
            format!("Include {}\n", modules.display())
        } else {
            String::new()
        };
        let (f, guest) = (self.folder.display(), Self::guest());
        let config = format!(
            "{include}UseIPv6 on\nServerName \"Debian\"\nServerType standalone\nDefaultAddress 127.0.0.1\nSocketBindTight \
             on\nPort {port}\nDefaultServer on\nUser nobody\nGroup nogroup\nUmask 022 \
             022\nMaxInstances 30\nDenyFilter \\*.*/\nListOptions \"-l\"\nPidFile {f}/pid\nScoreboardFile \
             {f}/score\nTransferLog {f}/transfers\nSystemLog {f}/log\n<IfModule mod_quotatab.c>\nQuotaEngine \
             off\n</IfModule>\n<IfModule mod_ratio.c>\nRatios off\n</IfModule>\n<IfModule mod_delay.c>\nDelayEngine \
             on\nDelayTable {f}/delay\n</IfModule>\n<IfModule mod_ctrls.c>\nControlsEngine off\nControlsSocket \
             {f}/ctrls\n</IfModule>\n<Anonymous {f}/pub>\nUser {guest}\nGroup nogroup\nUserAlias anonymous \
             {guest}\nRequireValidShell off\n<Limit WRITE>\nDenyAll\n</Limit>\n</Anonymous>\n",
            port = self.address.port(),
        );
        let file = self.file("proftpd.conf", &config)?;
        self.running(self.command().args(["-n", "-c"]).arg(file))
    }
}
