# frozen_string_literal: true

# `make dist` puts this file into a folder beside lib/, README.md and LICENSE, and builds the gem
# there: a gem holds only files that lie below its gemspec.
plugin = File.join(__dir__, 'lib/fluent/plugin/out_krone.rb')
abort 'build the gem with `make dist`: it copies the plugin to lib/ first' unless File.exist?(plugin)

Gem::Specification.new do |spec|
  spec.name = 'fluent-plugin-krone'
  # The plugin and its Python program have one version.
  spec.version = File.read(plugin)[/VERSION = '(.+)'/, 1]
  spec.summary = 'Fluentd output plugin that finds the executions that went wrong in a log stream'
  spec.description = 'Passes a log stream to fluent-krone, a Python program on the same machine, ' \
                     'and routes the alerts that come back: sessions that went wrong, each with the ' \
                     'step (entity, action, status) that is at fault.'
  spec.authors = ['The fluent-krone developers']
  spec.license = 'Apache-2.0'
  spec.required_ruby_version = '>= 2.7'
  spec.files = ['lib/fluent/plugin/out_krone.rb', 'README.md', 'LICENSE']
  spec.require_paths = ['lib']
  spec.add_dependency 'fluentd', '>= 1.16', '< 2'
  spec.metadata = { 'rubygems_mfa_required' => 'true' }
end
