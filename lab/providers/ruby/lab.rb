# frozen_string_literal: true

require "digest"
require "fileutils"
require "ipaddr"
require "json"
require "yaml"

# The lab as the Vagrantfile sees it. No value is made up here: they stand in the topology file, in
# settings.json and in our box, and Python reads or writes the same files.
class Lab
  # What was asked for cannot be; the message says why, and what to type instead.
  class Refusal < StandardError; end

  API_VERSION = "swarm-ingress-lab/v1"
  BOX_SAYS = %w[version kernel_arguments emulated_cpu].freeze
  PROVIDERS = %i[libvirt virtualbox].freeze

  # One machine. Its address is the one on the private link.
  Node = Struct.new(:name, :role, :address, :memory_mib, keyword_init: true)

  attr_reader :root, :settings, :topology, :nodes, :own_box, :prefix, :accelerated

  def initialize(root, boxes: nil, env: ENV)
    @root = root
    @env = env
    @settings = JSON.parse(File.read(File.join(__dir__, "settings.json")))
    @topology = read_topology
    @nodes = read_nodes
    # Two labs keep apart because the names of everything they have begin differently.
    @prefix = "sil-#{given('LAB_ID') || Digest::SHA256.hexdigest(root)[0, 8]}-"
    @accelerated = choice("LAB_ACCEL", %w[kvm tcg], File.writable?("/dev/kvm") ? "kvm" : "tcg") == "kvm"
    @own_box = choose_box(boxes.to_s)
  end

  def manager
    nodes.find { |node| node.role == "manager" }
  end

  def prefix_length
    topology.fetch("link").fetch("subnet").split("/").last.to_i
  end

  def netmask
    IPAddr.new("255.255.255.255").mask(prefix_length).to_s
  end

  # Why the lab cannot run on a provider of Vagrant; nil if it can.
  def refusal_of(provider)
    unless PROVIDERS.include?(provider)
      return "The lab runs on #{PROVIDERS.join(' or ')}, not on #{provider}. " \
             "Try: vagrant up --provider libvirt"
    end
    return unless provider == :virtualbox && given("LAB_BOX") == "own"

    "Our own box is one for libvirt. Try: LAB_BOX=public vagrant up --provider virtualbox"
  end

  # The private key to the machines. It is made at the first use: the one that comes with Vagrant,
  # which everybody knows, is never let in.
  def key
    file = File.join(given("VAGRANT_DOTFILE_PATH") || File.join(root, ".vagrant"), "id_ed25519")
    return file if File.exist?(file)

    FileUtils.mkdir_p(File.dirname(file), mode: 0o700)
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "swarm-ingress-lab", "-f", file]
    made = system(*words)
    refuse("ssh-keygen is not installed. Try: install OpenSSH's client") if made.nil?
    made ? file : refuse("ssh-keygen could not make #{file}")
  rescue SystemCallError => error
    refuse("The key #{file} cannot be made: #{error.message}. Try: VAGRANT_DOTFILE_PATH=DIRECTORY")
  end

  def public_key
    File.read("#{key}.pub").split[0, 2].join(" ")
  rescue SystemCallError => error
    refuse("The public key cannot be read: #{error.message}. Try: ssh-keygen -y -f #{key} > #{key}.pub")
  end

  # Who a node is, as words of the kernel's command line: lab/image/box/env reads them.
  def kernel_words(node)
    {
      name: node.name,
      link: "#{node.address}/#{prefix_length}",
      nodes: nodes.map { |other| "#{other.address}/#{other.name}" }.join(","),
      manager: node == manager ? nil : manager.address,
      key: public_key.split.last,
    }.compact.map { |word, value| "lab.#{word}=#{value}" }.join(" ")
  end

  # Who a node is, for lab/image/provision.py.
  def environment(node)
    {
      NODE_HOSTS: nodes.map { |other| "#{other.address} #{other.name}" }.join("\n"),
      NODE_MANAGER: node == manager ? "" : manager.address,
      NODE_KEY: public_key,
    }
  end

  private

  def given(name)
    value = @env[name].to_s
    value unless value.empty?
  end

  def refuse(text)
    raise Refusal, text
  end

  def choice(name, words, default)
    word = given(name) || default
    [*words, default].include?(word) ? word : refuse("#{name} is #{word}: expected #{words.join(' or ')}")
  end

  def read_topology
    file = topology_file
    refuse("There is no topology file #{file} (LAB_TOPOLOGY)") unless File.file?(file)
    found = YAML.safe_load(File.read(file))
    return found if found.is_a?(Hash) && found["apiVersion"] == API_VERSION

    refuse("#{file} is no topology: expected apiVersion: #{API_VERSION}")
  rescue Psych::Exception => error
    refuse("#{file} is not YAML: #{error.message}")
  rescue SystemCallError => error
    refuse("The topology file #{file} cannot be read: #{error.message}")
  end

  def topology_file
    wanted = given("LAB_TOPOLOGY") || settings.fetch("topology")
    is_path = wanted.include?("/") || wanted.end_with?(".yaml", ".yml")
    is_path ? wanted : File.join(root, "lab", "topologies", "#{wanted}.yaml")
  end

  # The machines. Only what would stop us is looked at: Python names every mistake in the file.
  def read_nodes
    rows, link = topology.values_at("nodes", "link")
    wanted = Node.members.map(&:to_s)
    mistake("link", "a subnet", link) unless link.is_a?(Hash) && link["subnet"].is_a?(String)
    mistake("link.subnet", "a network such as 192.168.56.0/24", link["subnet"]) unless subnet?(link["subnet"])
    mistake("nodes", "a list of nodes", rows) unless rows.is_a?(Array) && rows.all?(Hash)
    wrong = rows.find { |row| row.keys.map(&:to_s).sort != wanted.sort }
    mistake("a node", wanted.join(", "), wrong.keys.join(", ")) if wrong
    mistake("nodes", "one with role manager", "none") unless rows.any? { |row| row["role"] == "manager" }
    rows.map { |row| Node.new(**row.transform_keys(&:to_sym)) }
  end

  def subnet?(text)
    text.match?(%r{\A[\d.]+/\d{1,2}\z}) && IPAddr.new(text).ipv4?
  rescue IPAddr::Error
    false
  end

  def mistake(where, wanted, found)
    refuse("#{topology_file}: #{where}: expected #{wanted}, found #{found || 'nothing'}. Try: " \
           "invoke lab.up --provider vagrant --topology #{topology_file}")
  end

  # Our box, if it is to be used: what lab/image/box.py wrote into it, and its directory. The public
  # one stands in for it where it was never added.
  def choose_box(boxes)
    word = choice("LAB_BOX", %w[own public], nil)
    return if word == "public"

    found = added(boxes).max_by { |box| Gem::Version.new(box.fetch("version")) }
    return found if found || word.nil?

    refuse("The box #{settings.fetch('own_box')} is not added. Try: invoke lab.box")
  end

  # Only the version that is asked for is looked at: another one may be damaged.
  def added(boxes)
    name = settings.fetch("own_box").sub("/", "-VAGRANTSLASH-")
    version = given("LAB_BOX_VERSION") || "*"
    Dir.glob(File.join(boxes, name, version, "**", "lab.json")).map { |file| read_box(file) }
  end

  def read_box(file)
    found = JSON.parse(File.read(file))
    whole = found.is_a?(Hash) && BOX_SAYS.all? { |key| found[key].is_a?(String) }
    damaged(file, "expected #{BOX_SAYS.join(', ')}") unless whole
    damaged(file, "no version: #{found['version']}") unless Gem::Version.correct?(found["version"])
    found.merge("directory" => File.dirname(file))
  rescue JSON::ParserError
    damaged(file, "not JSON")
  rescue SystemCallError => error
    damaged(file, error.message)
  end

  def damaged(file, why)
    refuse("A box of ours is damaged: #{file}: #{why}. Try: invoke lab.box --remove")
  end
end
