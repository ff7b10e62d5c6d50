//! What the machine is made of, as its firmware tells: the hardware of the maker of its network card, or the
//! hypervisor whose card it is. A card of nobody in particular is one of KVM's.

use decnet_persona::mac::{Mac, Vendor};

/// What SMBIOS, CPUID and the PCI bus say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Platform {
    pub(crate) maker: &'static str,
    pub(crate) product: &'static str,
    pub(crate) version: &'static str,
    pub(crate) board: &'static str,
    /// Maker, version and day of the firmware.
    pub(crate) bios: (&'static str, &'static str, &'static str),
    /// As systemd-detect-virt names it; `none` on bare metal.
    pub(crate) virt: &'static str,
}

impl Platform {
    pub(super) fn of(mac: Mac) -> Self {
        let (maker, product, version, board, bios, virt) = match mac.vendor() {
            Some(Vendor::Dell) => (
                "Dell Inc.",
                "PowerEdge R640",
                "Not Specified",
                "0W23H8",
                ("Dell Inc.", "2.12.2", "07/09/2021"),
                "none",
            ),
            Some(Vendor::Hp) => (
                "HPE",
                "ProLiant DL360 Gen10",
                "Not Specified",
                "ProLiant DL360 Gen10",
                ("HPE", "U32", "03/16/2022"),
                "none",
            ),
            Some(Vendor::Lenovo) => (
                "Lenovo",
                "ThinkSystem SR630 -[7X02CTO1WW]-",
                "07",
                "-[7X02CTO1WW]-",
                ("Lenovo", "-[IVE164L-2.81]-", "05/31/2021"),
                "none",
            ),
            Some(Vendor::Supermicro) => (
                "Supermicro",
                "SYS-6019P-WTR",
                "0123456789",
                "X11DDW-L",
                ("American Megatrends Inc.", "3.4", "11/04/2020"),
                "none",
            ),
            Some(Vendor::Intel) => (
                "Intel Corporation",
                "S2600WFT",
                "....................",
                "S2600WFT",
                (
                    "Intel Corporation",
                    "SE5C620.86B.02.01.0012.070720200218",
                    "07/07/2020",
                ),
                "none",
            ),
            Some(Vendor::Vmware) => (
                "VMware, Inc.",
                "VMware Virtual Platform",
                "None",
                "440BX Desktop Reference Platform",
                ("Phoenix Technologies LTD", "6.00", "11/12/2020"),
                "vmware",
            ),
            Some(Vendor::Microsoft) => (
                "Microsoft Corporation",
                "Virtual Machine",
                "7.0",
                "Virtual Machine",
                ("American Megatrends Inc.", "090008", "12/07/2018"),
                "microsoft",
            ),
            _ => (
                "QEMU",
                "Standard PC (i440FX + PIIX, 1996)",
                "pc-i440fx-7.2",
                "Not Specified",
                (
                    "SeaBIOS",
                    "rel-1.16.2-0-gea1b7a073390-prebuilt.qemu.org",
                    "04/01/2014",
                ),
                "kvm",
            ),
        };
        Self {
            maker,
            product,
            version,
            board,
            bios,
            virt,
        }
    }

    pub(crate) fn is_virtual(&self) -> bool {
        self.virt != "none"
    }

    /// Who CPUID names as the hypervisor, as the kernel and `lscpu` write it.
    pub(crate) fn hypervisor(&self) -> Option<(&'static str, &'static str)> {
        match self.virt {
            "kvm" => Some(("KVM", "KVM")),
            "vmware" => Some(("VMware", "VMware")),
            "microsoft" => Some(("Microsoft Hyper-V", "Microsoft")),
            _ => None,
        }
    }

    /// `lspci`.
    pub(crate) fn devices(&self) -> &'static str {
        match self.virt {
            "kvm" => {
                "00:00.0 Host bridge: Intel Corporation 440FX - 82441FX PMC [Natoma] (rev 02)\n00:01.0 ISA bridge: Intel Corporation 82371SB PIIX3 ISA [Natoma/Triton II]\n00:01.1 IDE interface: Intel Corporation 82371SB PIIX3 IDE [Natoma/Triton II]\n00:01.3 Bridge: Intel Corporation 82371AB/EB/MB PIIX4 ACPI (rev 03)\n00:02.0 VGA compatible controller: Device 1234:1111 (rev 02)\n00:03.0 Ethernet controller: Red Hat, Inc. Virtio network device\n00:05.0 SCSI storage controller: Red Hat, Inc. Virtio SCSI\n"
            }
            "vmware" => {
                "00:00.0 Host bridge: Intel Corporation 440BX/ZX/DX - 82443BX/ZX/DX Host bridge (rev 01)\n00:01.0 PCI bridge: Intel Corporation 440BX/ZX/DX - 82443BX/ZX/DX AGP bridge (rev 01)\n00:07.0 ISA bridge: Intel Corporation 82371AB/EB/MB PIIX4 ISA (rev 08)\n00:07.1 IDE interface: Intel Corporation 82371AB/EB/MB PIIX4 IDE (rev 01)\n00:07.3 Bridge: Intel Corporation 82371AB/EB/MB PIIX4 ACPI (rev 08)\n00:07.7 System peripheral: VMware Virtual Machine Communication Interface (rev 10)\n00:0f.0 VGA compatible controller: VMware SVGA II Adapter\n03:00.0 Serial Attached SCSI controller: VMware PVSCSI SCSI Controller (rev 02)\n0b:00.0 Ethernet controller: VMware VMXNET3 Ethernet Controller (rev 01)\n"
            }
            "microsoft" => {
                "00:00.0 Host bridge: Intel Corporation 440BX/ZX/DX - 82443BX/ZX/DX Host bridge (AGP disabled) (rev 03)\n00:07.0 ISA bridge: Intel Corporation 82371AB/EB/MB PIIX4 ISA (rev 01)\n00:07.1 IDE interface: Intel Corporation 82371AB/EB/MB PIIX4 IDE (rev 01)\n00:07.3 Bridge: Intel Corporation 82371AB/EB/MB PIIX4 ACPI (rev 02)\n00:08.0 VGA compatible controller: Microsoft Corporation Hyper-V virtual VGA\n"
            }
            _ => {
                "00:00.0 Host bridge: Intel Corporation Sky Lake-E DMI3 Registers (rev 04)\n00:14.0 USB controller: Intel Corporation C620 Series Chipset Family USB 3.0 xHCI Controller (rev 09)\n00:1c.0 PCI bridge: Intel Corporation C620 Series Chipset Family PCI Express Root Port #1 (rev f9)\n00:1f.0 ISA bridge: Intel Corporation C621 Series Chipset LPC/eSPI Controller (rev 09)\n00:1f.4 SMBus: Intel Corporation C620 Series Chipset Family SMBus (rev 09)\n03:00.0 VGA compatible controller: Matrox Electronics Systems Ltd. Integrated Matrox G200eW3 Graphics Controller (rev 04)\n18:00.0 RAID bus controller: Broadcom / LSI MegaRAID SAS-3 3108 [Invader] (rev 02)\n19:00.0 Ethernet controller: Intel Corporation I350 Gigabit Network Connection (rev 01)\n19:00.1 Ethernet controller: Intel Corporation I350 Gigabit Network Connection (rev 01)\n"
            }
        }
    }

    /// Modules of its network card and its disks, as `lsmod` lists them.
    pub(crate) fn drivers(&self) -> &'static str {
        match self.virt {
            "kvm" => {
                "virtio_net             73728  0\nnet_failover           20480  1 virtio_net\nvirtio_scsi            28672  2\n"
            }
            "vmware" => {
                "vmw_vmci               90112  0\nvmxnet3                73728  0\nvmw_pvscsi             28672  2\n"
            }
            "microsoft" => {
                "hv_netvsc             102400  0\nhv_storvsc             24576  2\nhv_vmbus              143360  2 hv_netvsc,hv_storvsc\n"
            }
            _ => {
                "igb                   278528  0\ndca                    16384  1 igb\nmegaraid_sas          172032  2\nipmi_si                73728  0\n"
            }
        }
    }

    /// Keywords of `dmidecode -s`, which are the files of `/sys/class/dmi/id`, too.
    pub(crate) fn strings(&self, serial: &str, uuid: &str) -> [(&'static str, &'static str, String); 14] {
        let own = |text: &str| text.to_owned();
        let chassis = if self.is_virtual() {
            "Other"
        } else {
            "Rack Mount Chassis"
        };
        let serial = if self.virt == "kvm" {
            "Not Specified"
        } else {
            serial
        };
        [
            ("bios-vendor", "bios_vendor", own(self.bios.0)),
            ("bios-version", "bios_version", own(self.bios.1)),
            ("bios-release-date", "bios_date", own(self.bios.2)),
            ("system-manufacturer", "sys_vendor", own(self.maker)),
            ("system-product-name", "product_name", own(self.product)),
            ("system-version", "product_version", own(self.version)),
            ("system-serial-number", "product_serial", own(serial)),
            ("system-uuid", "product_uuid", own(uuid)),
            ("baseboard-manufacturer", "board_vendor", own(self.maker)),
            ("baseboard-product-name", "board_name", own(self.board)),
            ("baseboard-serial-number", "board_serial", own(serial)),
            ("chassis-manufacturer", "chassis_vendor", own(self.maker)),
            ("chassis-type", "chassis_type", own(chassis)),
            ("chassis-serial-number", "chassis_serial", own(serial)),
        ]
    }
}
