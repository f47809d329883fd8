# frozen_string_literal: true

# Evaluates a Vagrantfile without Vagrant and prints, as JSON, what it configures:
# ruby recorder.rb VAGRANTFILE. A setting is [its path, its arguments]; one with a block has a third
# part, the settings made on each of the block's parameters.
require "json"
require "pathname"

class Recorder
  attr_reader :record

  def initialize(path = "", record = [])
    @path = path
    @record = record
  end

  # What Vagrant would call later is not called at all.
  def ruby
    @record << ["#{@path}ruby", []]
  end

  def respond_to_missing?(*)
    true
  end

  def method_missing(name, *arguments, **options, &block)
    path = "#{@path}#{name.to_s.delete_suffix('=')}"
    arguments << options unless options.empty?
    if block
      parts = Array.new(block.arity) { Recorder.new }
      block.call(*parts)
      @record << [path, arguments, parts.map(&:record)]
    elsif !arguments.empty?
      @record << [path, arguments]
    else
      Recorder.new("#{path}.", @record)
    end
  end
end

# As much of Vagrant as the Vagrantfile calls.
module Vagrant
  module Errors
    class VagrantError < StandardError
      def message
        error_message
      end
    end
  end

  def self.user_data_path
    Pathname(ENV.fetch("VAGRANT_HOME"))
  end

  def self.configure(_version)
    recorder = Recorder.new
    yield recorder
    puts JSON.pretty_generate(recorder.record)
  end
end

begin
  load ARGV.fetch(0)
rescue Vagrant::Errors::VagrantError => error
  abort error.message
end
