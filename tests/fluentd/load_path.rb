# frozen_string_literal: true

# Required by a Fluentd in a dry run (`fluentd --dry-run -c /dev/null -r ./load_path.rb`): tells which Ruby it runs on
# and where its libraries lie, however it was installed, so that test_out_krone.rb runs on just those.
require 'json'

puts "KRONE_RUBY #{JSON.generate([RbConfig.ruby, *$LOAD_PATH.map { |dir| "-I#{dir}" }])}"
$stdout.flush
