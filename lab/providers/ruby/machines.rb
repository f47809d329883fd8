# frozen_string_literal: true

# How one node becomes a machine of each provider. ``own`` is the provider's part of its
# configuration, ``general`` the rest, for this provider only.
module Machines
  module_function

  def libvirt(own, general, lab, node)
    own.driver = lab.accelerated ? "kvm" : "qemu"
    own.cpu_mode = lab.accelerated ? "host-passthrough" : "custom"
    own.cpu_model = "qemu64" unless lab.accelerated
    own.memory = node.memory_mib
    own.cpus = 1
    own.machine_type = "q35"
    own.default_prefix = lab.prefix
    own.graphics_type = "none"
    own.random model: "random"
    own.disk_driver cache: "unsafe" # the disk is thrown away with the lab
    own.channel type: "unix", target_name: "org.qemu.guest_agent.0", target_type: "virtio"
    own.management_network_name = lab.settings.fetch("shared_network")
    own.management_network_address = lab.settings.fetch("management")
    general.vm.network :private_network, ip: node.address, netmask: lab.netmask,
                                         auto_config: lab.own_box.nil?,
                                         libvirt__network_name: "#{lab.prefix}link",
                                         libvirt__forward_mode: "none",
                                         libvirt__dhcp_enabled: false
    lab.own_box ? own_box(own, general, lab, node) : public_box(general, lab, node)
  end

  def virtualbox(own, general, lab, node)
    own.name = "#{lab.prefix}#{node.name}"
    own.memory = node.memory_mib
    own.cpus = 1
    # All guests have the same address behind NAT, and the usual one lies in swarm's pool.
    own.customize ["modifyvm", :id, "--natnet1", lab.settings.fetch("management")]
    general.vm.network :private_network, ip: node.address, netmask: lab.netmask
    public_box(general, lab, node)
  end

  # Our box has no boot loader: kernel and initial RAM disk lie beside the disk.
  def own_box(own, general, lab, node)
    box = lab.own_box
    general.vm.box = lab.settings.fetch("own_box")
    general.vm.box_version = box.fetch("version")
    general.ssh.username = "root"
    general.ssh.sudo_command = "%c"
    general.ssh.private_key_path = lab.key
    general.ssh.insert_key = false
    own.kernel = File.join(box.fetch("directory"), "vmlinux")
    own.initrd = File.join(box.fetch("directory"), "initrd")
    own.cmd_line = "#{box.fetch('kernel_arguments')} #{lab.kernel_words(node)}"
    return if lab.accelerated

    # libvirt refuses this processor as a cpu_model; what comes later on the command line holds.
    own.qemuargs value: "-cpu"
    own.qemuargs value: box.fetch("emulated_cpu")
  end

  # What a plain Debian is made a node with, besides the service.
  SOURCES = %w[lab/__init__.py lab/errors.py lab/image node-test].freeze

  # A plain Debian becomes what our box is.
  def public_box(general, lab, node)
    general.vm.box = lab.settings.fetch("public_box")
    general.vm.hostname = node.name
    SOURCES.each do |path|
      general.vm.provision :file, source: File.join(lab.root, path),
                                  destination: "/tmp/swarm-ingress-lab/#{path}"
    end
    general.vm.provision :shell, path: File.join(__dir__, "provision.sh"),
                                 env: lab.environment(node)
  end
end
