# frozen_string_literal: true

# `@type krone` under Fluentd's own test driver, with a real child process (child.py) that does what records ask for.
# Run by tests/e2e/test_fluentd_plugin.py, which gives it Fluentd's Ruby and load path, and in PYTHON the interpreter.
require 'fileutils'
require 'shellwords'
require 'tmpdir'
require 'test/unit'
require 'fluent/test'
require 'fluent/test/driver/output'
require 'fluent/test/helpers'
require_relative '../../fluent_krone/fluentd/out_krone'

class KroneOutputTest < Test::Unit::TestCase
  include Fluent::Test::Helpers

  CHILD = File.join(__dir__, 'child.py')
  TIME = Fluent::EventTime.new(1_700_000_000, 5)
  ALERT_TIME = Fluent::EventTime.new(1_700_000_000, 123_456_789)

  setup do
    Fluent::Test.setup
    @dir = Dir.mktmpdir
  end

  teardown { FileUtils.rm_rf(@dir) }

  def conf(params = '', buffer: '', pattern: nil)
    root = Fluent::Config.parse(<<~CONF, '(test)', '(test_dir)', syntax: :v1)
      <match #{pattern}>
        @type krone
        bundle hdfs
        command #{[ENV.fetch('PYTHON'), CHILD, @dir].shelljoin}
        #{params}
        <buffer tag>
          flush_mode immediate
          flush_thread_interval 0.05
          #{buffer}
        </buffer>
      </match>
    CONF
    root.elements.first
  end

  def driver(...)
    Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(conf(...))
  end

  # Feeds one chunk a record and waits until all are committed and `alerts` are here, the last one at the flush aside.
  def run_with(driver, *records, tag: 'app', alerts: 0)
    driver.end_if { driver.record_count >= alerts && driver.instance.buffer.queue.empty? && driver.instance.dequeued_chunks.empty? }
    driver.run(timeout: 30, wait_flush_completion: false) { records.each { |record| driver.feed(tag, TIME, record) } }
    assert_false(driver.broken?, 'timed out')
    driver.events
  end

  def taken
    path = File.join(@dir, 'taken')
    File.exist?(path) ? File.readlines(path, chomp: true) : []
  end

  sub_test_case 'chunks' do
    test 'reach the child byte for byte, in order, and are committed when it acks' do
      d = driver
      records = [{ 'do' => 'describe', 'text' => "caf\u00e9 \xff".b, 'deep' => { 'list' => [1, 2.5, nil, true] } }, { 'n' => 2 }]
      events = run_with(d, *records, alerts: 1)
      sent = Fluent::OneEventStream.new(TIME, records.first).to_msgpack_stream
      assert_equal(sent, [events.first[2]['entries']].pack('H*'))
      assert_equal(['app None', 'app 2'], taken)
      assert_equal(2, d.instance.write_count)
      assert_equal(0, d.instance.rollback_count)
    end

    test 'stay in the buffer until the ack' do
      d = driver('shutdown_timeout 0.5')
      d.run(flush: false) do
        d.feed('app', TIME, { 'do' => 'hold', 'n' => 1 })
        sleep 0.05 until taken.any?
        assert_equal(1, d.instance.dequeued_chunks.size)
        assert_equal(1, d.instance.statistics['output']['krone_chunks_in_flight'])
      end
      assert_operator(d.instance.rollback_count, :>, 0)
      assert_equal(1, d.logs.grep(/stopped without a flush/).size)
    end

    # A graceful reload configures the new plugins in the supervisor too, which only shuts them down.
    test 'of an instance that never started are nothing to warn about' do
      d = driver
      d.instance.before_shutdown
      assert_equal([], d.logs.grep(/stopped without a flush/))
    end

    test 'larger than a pipe, and than the window, go through while alerts come back' do
      pad = 'x' * 3_000_000
      events = run_with(driver, *8.times.map { |n| { 'n' => n, 'do' => 'alert', 'pad' => pad } }, alerts: 8)
      assert_equal([*0..7], events.filter_map { |_, _, record| record.dig('echo', 'n') })
    end

    test 'that inflate beyond a frame are left to <secondary> or backup, and the next ones go on' do
      config = conf('max_frame_size 100k', buffer: "compress gzip\nchunk_limit_size 50k\ndisable_chunk_backup true")
      d = Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(config)
      run_with(d, { 'n' => 1, 'pad' => 'x' * 200_000 }, { 'n' => 2 })
      assert_equal(['app 2'], taken)
      assert_equal(1, d.logs.grep(/too large for max_frame_size: lower chunk_limit_size/).size)
    end

    test 'that a gzip buffer holds go down inflated' do
      events = run_with(driver(buffer: 'compress gzip'), { 'do' => 'describe', 'n' => 1 }, alerts: 1)
      assert_equal(Fluent::OneEventStream.new(TIME, { 'do' => 'describe', 'n' => 1 }).to_msgpack_stream,
                   [events.first[2]['entries']].pack('H*'))
    end
  end

  sub_test_case 'after a commit time-out a chunk' do
    def impatient_driver
      driver('shutdown_timeout 0.5', buffer: <<~CONF)
        delayed_commit_timeout 0.1
        retry_type periodic
        retry_wait 0.05
        retry_forever true
      CONF
    end

    def run_held(d, *records)
      d.run(timeout: 60, flush: false) do
        records.each { |record| d.feed('app', TIME, record) }
        yield d.instance
      end
      assert_false(d.broken?, 'timed out')
    end

    def wait_until_committed(plugin)
      buffer = plugin.buffer
      sleep 0.01 until buffer.synchronize { plugin.write_count.positive? && buffer.queue.empty? && buffer.dequeued.empty? }
    end

    # Lets time-outs put chunks back once all of these have timed out, and then the block be done before any is tried again.
    def when_back_in_the_queue(plugin, chunks)
      plugin.define_singleton_method(:try_rollback_write) do
        next if @dequeued_chunks.size < chunks

        sleep 0.01 until @dequeued_chunks.all?(&:expired?)
        super()
        yield
        sleep 0.01 until @in_flight.empty?
      end
    end

    def signal_child(plugin, name, chunks = 1)
      sleep 0.01 until taken.size >= chunks
      Process.kill(name, plugin.instance_variable_get(:@pid))
    end

    test 'is not handed to the same child again, and is committed when that acks it' do
      run_held(impatient_driver, { 'n' => 0, 'do' => 'hold_once' }) do |plugin|
        sleep 0.01 until taken.any?
        rolled_back = plugin.rollback_count
        sleep 0.01 until plugin.rollback_count >= rolled_back + 3
        assert_equal(['app 0'], taken)
        signal_child(plugin, :USR1)
        wait_until_committed(plugin)
      end
    end

    test 'goes down again if its ack came while it was in the queue, where nothing can be committed' do
      d = impatient_driver
      when_back_in_the_queue(d.instance, 1) { signal_child(d.instance, :USR1) }
      run_held(d, { 'n' => 0, 'do' => 'hold_once' }) { |plugin| wait_until_committed(plugin) }
      assert_operator(taken.size, :>, 1)
    end

    data('memory' => '', 'file' => '@type file')
    test 'is gone if its ack came since it left the queue' do |type|
      d = driver(buffer: "delayed_commit_timeout 0.1\nretry_wait 0.05\n#{type.empty? ? '' : "#{type}\npath #{@dir}/buffer"}")
      test = self
      d.instance.define_singleton_method(:try_write) do |chunk|
        test.signal_child(self, :USR1) if @in_flight.any?
        sleep 0.01 until @in_flight.empty?
        super(chunk)
      end
      run_held(d, { 'n' => 0, 'do' => 'hold_once' }) { |plugin| wait_until_committed(plugin) }
      assert_equal(['app 0'], taken)
      assert_empty(d.logs.grep(/failed to flush the buffer\./))
    end

    test 'keeps its place when the child dies' do
      d = impatient_driver
      when_back_in_the_queue(d.instance, 2) { signal_child(d.instance, :KILL, 2) }
      run_held(d, { 'n' => 0, 'do' => 'hold_once' }, { 'n' => 1, 'do' => 'hold' }) { sleep 0.01 until taken.size == 4 }
      assert_equal(['app 0', 'app 1', 'app 0', 'app 1'], taken)
    end
  end

  sub_test_case 'parameters' do
    test 'go to the child as they are written, those not given not at all' do
      d = driver(<<~'CONF')
        idle_timeout 0.5
        session_key /blk_-?\d+/
        message_field "the message; $(touch x) ${tag}"
        on_shutdown judge
        tag alerts.${tag}
      CONF
      tag, _, record = run_with(d, { 'do' => 'describe' }, alerts: 1).first
      assert_equal('alerts.app', tag)
      assert_equal(['pipe', '--bundle=hdfs', '--idle-timeout=0.5', '--message-field=the message; $(touch x) ${tag}',
                    '--on-shutdown=judge', '--session-key=/blk_-?\d+/', '--tag=alerts.${tag}'],
                   [record['arguments'].first, *record['arguments'].drop(1).sort])
    end

    test 'of the keep section go to the child under their own names' do
      d = driver("<keep>\n  per_kind 2\n  always /one, two/\n  tag kept.${tag}\n</keep>")
      _, _, record = run_with(d, { 'do' => 'describe' }, alerts: 1).first
      assert_equal(['--bundle=hdfs', '--keep-always=/one, two/', '--keep-per-kind=2', '--keep-tag=kept.${tag}', '--keep=true'],
                   record['arguments'].drop(1).sort)
    end

    test 'of an empty keep section switch keeping on' do
      _, _, record = run_with(driver("<keep>\n</keep>"), { 'do' => 'describe' }, alerts: 1).first
      assert_equal(['pipe', '--bundle=hdfs', '--keep=true'], record['arguments'])
    end

    data('two flush threads' => [->(c) { c.elements.first['flush_thread_count'] = '2' }, /flush_thread_count must be 1/],
         'chunks above the default frame' => [->(c) { c.elements.first['chunk_limit_size'] = '272m' },
                                              /chunk_limit_size 285212672 .* max_frame_size 272m/],
         'chunks above the frame' => [->(c) { c['max_frame_size'] = '8m' }, /chunk_limit_size 8388608 .* max_frame_size 8m/],
         'chunk keys without tag' => [->(c) { c.elements.first.arg = 'host' }, /must include tag/],
         'no bundle' => [->(c) { c.delete('bundle') }, /'bundle' parameter is required/])
    test 'are refused' do |(change, message)|
      d = Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput)
      assert_match(message, assert_raise(Fluent::ConfigError) { d.configure(conf.tap(&change)) }.message)
    end

    test 'that let a frame hold a chunk are taken' do
      assert_nothing_raised { driver('max_frame_size 128m', buffer: 'chunk_limit_size 100m') }
    end

    test 'without <buffer>, chunks are cut by tag' do
      config = conf.tap { |c| c.elements.clear }
      d = Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(config)
      assert_true(d.instance.chunk_key_tag)
      assert_equal(1, d.instance.buffer_config.flush_interval)
      assert_equal(8 * 1024 * 1024, d.instance.buffer.chunk_limit_size)
    end

    test 'several workers are refused, one of them named as the remedy' do
      opts = { 'workers' => 2 }
      d = Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput, opts: opts)
      message = assert_raise(Fluent::ConfigError) { d.configure(conf) }.message
      assert_match(/<worker 0>/, message)
      assert_match(/one `fluent-krone serve` by @type forward/, message)
    end

    test 'a command that does not exist stops the start' do
      d = driver('command /nonexistent/fluent-krone')
      message = assert_raise(Fluent::ConfigError) { d.instance.start }.message
      assert_match(/nonexistent/, message)
      assert_match(%r{/opt/fluent-krone/bin/pip install fluent_krone-[\d.]+-py3-none-any\.whl}, message)
    end

    def without_command
      config = conf.tap { |c| c.delete('command') }
      Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(config)
    end

    def with_path(path)
      old = ENV.fetch('PATH')
      ENV['PATH'] = path
      yield
    ensure
      ENV['PATH'] = old
    end

    test 'without command, the program is found on PATH' do
      program = File.join(@dir, 'fluent-krone')
      File.write(program, "#!/bin/sh\nexec #{[ENV.fetch('PYTHON'), CHILD, @dir].shelljoin} \"$@\"\n")
      File.chmod(0o755, program)
      with_path("#{@dir}#{File::PATH_SEPARATOR}#{ENV.fetch('PATH')}") do
        assert_equal([0], run_with(without_command, { 'n' => 0, 'do' => 'alert' }, alerts: 1)
          .filter_map { |_, _, record| record.dig('echo', 'n') })
      end
    end

    test 'a program that is nowhere is reported with what to install' do
      d = without_command
      folders = Fluent::Plugin::KroneOutput::PROGRAM_FOLDERS.map { |folder| File.join(folder, 'fluent-krone') }
      omit('fluent-krone is installed on this machine') if folders.any? { |path| File.exist?(path) }
      message = with_path(@dir) { assert_raise(Fluent::ConfigError) { d.instance.start }.message }
      assert_match(/neither on PATH nor in/, message)
      assert_match(/python3 -m venv/, message)
    end

    def logs_with_version(version)
      ENV['KRONE_VERSION'] = version
      d = driver
      run_with(d, { 'n' => 1 })
      d.logs.grep(/different versions/)
    ensure
      ENV.delete('KRONE_VERSION')
    end

    test 'another version of the program is reported' do
      assert_equal(1, logs_with_version('0.0.9').size)
      assert_match(/program="0.0.9"/, logs_with_version('0.0.9').first)
      assert_empty(logs_with_version(Fluent::Plugin::KroneOutput::VERSION))
    end
  end

  sub_test_case 'loops' do
    def configure(pattern, params = '')
      Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(conf(params, pattern: pattern))
    end

    data('all' => ['**', ''], 'own prefix' => ['krone.**', ''], 'one of several' => ['app.** krone.*', ''],
         'braces' => ['{krone,app}.**', ''], 'same tag' => ['app.**', 'tag ${tag}'],
         'fixed tag' => ['app.**', 'tag app.alerts'], 'tag parts' => ['app.**', 'tag ${tag_parts[0]}.alerts'],
         'prefix' => ['app.**', 'add_tag_prefix app'],
         'prefixes' => ['app.**', "remove_tag_prefix app\nadd_tag_prefix app.x"],
         'kept records' => ['app.** keep.**', "<keep>\n</keep>"],
         'kept records under a prefix' => ['app.**', "<keep>\n  add_tag_prefix app\n</keep>"],
         'summaries' => ['app.** counts', "<keep>\n  summary_tag counts\n</keep>"],
         'annotated records' => ['app.** annotated.**', 'annotate true'])
    test 'are refused' do |(pattern, params)|
      assert_match(/come back/, assert_raise(Fluent::ConfigError) { configure(pattern, params) }.message)
    end

    data('another prefix' => ['app.**', ''], 'label' => ['**', '@label @ALERTS'], 'fixed tag' => ['app.**', 'tag alerts'],
         'no section' => ['app.** keep.**', ''], 'not annotated' => ['annotated.**', 'annotate false'],
         'one part' => ['*', ''], 'removed prefix' => ['app.**', "remove_tag_prefix app\nadd_tag_prefix alert"])
    test 'are not seen where there are none' do |(pattern, params)|
      assert_nothing_raised { configure(pattern, params) }
    end

    test 'are none when an earlier <match> takes the alerts' do
      d = Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput)
      d.instance.context_router = Fluent::EventRouter.new(Fluent::Test::Driver::TestEventRouter.new(d), nil)
      d.instance.context_router.add_rule('krone.**', Object.new)
      assert_nothing_raised { d.configure(conf(pattern: '**')) }
    end
  end

  sub_test_case 'alerts' do
    test 'are routed with their tag, time and record, and counted' do
      d = driver
      tag, time, record = run_with(d, { 'do' => 'alert', 'text' => "caf\u00e9" }, tag: 'app.web', alerts: 1).first
      assert_equal(['krone.app.web', ALERT_TIME, { 'echo' => { 'do' => 'alert', 'text' => "caf\u00e9" } }], [tag, time, record])
      assert_equal(Encoding::UTF_8, record['echo']['text'].encoding)
    end

    test 'leave at shutdown too, after the last chunk' do
      assert_equal({ 'last' => true, 'taken' => 3 }, run_with(driver, *3.times.map { |n| { 'n' => n } }).last[2])
    end

    test 'are tried until Fluentd takes them, and acked only then' do
      d = driver
      refusals = 1
      d.instance.define_singleton_method(:emit) do |tag, events|
        raise Fluent::Plugin::Buffer::BufferOverflowError, 'full' if (refusals -= 1) >= 0

        super(tag, events)
      end
      assert_equal([1], run_with(d, { 'do' => 'alert', 'n' => 1 }, alerts: 1).filter_map { |_, _, r| r.dig('echo', 'n') })
    end

    test 'statistics of the child are shown with our own' do
      d = driver
      stats = nil
      d.end_if { (stats = d.instance.statistics['output'])['krone_alerts_routed'] == 1 && stats['krone_chunks_in_flight'].zero? }
      run_with(d, { 'do' => 'stats' }, { 'do' => 'alert' }, alerts: 1)
      assert_equal([42, 1, 2], stats.values_at('krone_records', 'krone_children_started', 'write_count'))
    end
  end

  sub_test_case 'a child that dies' do
    test 'is replaced, and what it had not acked comes again, in order, without counting as a retry' do
      d = driver('shutdown_timeout 0.5')
      records = [{ 'n' => 0, 'do' => 'hold_once' }, { 'n' => 1 }, { 'n' => 2, 'do' => 'die_once' }, { 'n' => 3 }, { 'n' => 4 }]
      d.run(timeout: 30, flush: false) do
        records.each { |record| d.feed('app', TIME, record) }
        sleep 0.05 until taken.last == 'app 4'
        assert_equal([2, 0], d.instance.statistics['output'].values_at('krone_children_started', 'retry_count'))
      end
      assert_equal(['app 0', 'app 1', 'app 2', 'app 0', 'app 2', 'app 3', 'app 4'], taken)
      assert_equal(1, d.logs.grep(/\[error\]/).size)
      assert_match(/fluent-krone died.*SIGKILL/, d.logs.grep(/\[error\]/).first)
    end

    # On a loaded machine the flush thread runs while chunks go back. Wrong before: a chunk that it took then overtook
    # those that were still to go back.
    test 'leaves chunks in their order, whichever of them the flush thread takes meanwhile' do
      d = driver('shutdown_timeout 10')
      back = 0
      d.instance.define_singleton_method(:rollback_write) do |*args, **named|
        super(*args, **named).tap { sleep 0.5 if (back += 1) == 2 }
      end
      records = [*0..2].map { |n| { 'n' => n, 'do' => 'hold_once' } } + [{ 'n' => 3, 'do' => 'die_once' }, { 'n' => 4 }]
      d.run(timeout: 60, flush: false) do
        records.each { |record| d.feed('app', TIME, record) }
        sleep 0.05 until taken.last == 'app 4'
      end
      assert_equal([0, 1, 2, 3, 0, 1, 2, 3, 4].map { |n| "app #{n}" }, taken)
      # That the child died, and nothing else.
      assert_equal(1, d.logs.grep(/\[(?:warn|error)\]/).size, d.logs.join)
    end

    class SlowOutput < Fluent::Plugin::Output
      Fluent::Plugin.register_output('slow_for_krone', self)

      def written
        @written ||= []
      end

      def write(chunk)
        chunk.each { |_, record| written << record['n'] }
        sleep 2
      end
    end

    test 'does not take a chunk from <secondary>, to which Fluentd gives it after too many retries' do
      config = conf('shutdown_timeout 0.3', buffer: "retry_wait 0.1\nretry_max_times 2\nretry_randomize false")
      config['command'] = 'false'
      config.elements << Fluent::Config::Element.new('secondary', '', { '@type' => 'slow_for_krone' }, [])
      d = Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(config)
      # Whatever this test stands for takes half a minute as it is.
      d.instance.define_singleton_method(:wait_until) { |deadline, &block| super([deadline, Fluent::Clock.now + 0.5].min, &block) }
      d.instance.instance_variable_set(:@retry_for_error_chunk, true)
      d.run(timeout: 60, flush: false) do
        d.feed('app', TIME, { 'n' => 1 })
        sleep 0.05 until d.instance.secondary.written.any?
        # Children die while it is written, and a chunk that was taken back would come again.
        sleep 5
        assert_equal([], d.instance.buffer.queue)
      end
      assert_equal([1], d.instance.secondary.written)
    end

    test 'is back at once' do
      d = driver
      pids = []
      d.run(timeout: 30, flush: false) do
        2.times do
          d.feed('app', TIME, { 'do' => 'describe' })
          sleep 0.01 until d.events.size > pids.size
          pids << d.events.last[2]['pid']
          Process.kill(:KILL, pids.last)
        end
      end
      assert_not_equal(*pids)
    end

    def stop_child_under_a_chunk(d)
      d.feed('app', TIME, { 'n' => 0, 'do' => 'describe' })
      sleep 0.01 until d.events.any? && d.instance.dequeued_chunks.empty?
      pid = d.events.last[2]['pid']
      Process.kill(:STOP, pid)
      d.feed('app', TIME, { 'n' => 1, 'pad' => 'x' * 1_000_000 })
      sleep 0.01 until d.instance.instance_variable_get(:@write_lock).locked?
      pid
    end

    data('memory' => '', 'file' => '@type file')
    test 'while a chunk is being written costs no retry either' do |type|
      d = driver(buffer: type.empty? ? '' : "#{type}\npath #{@dir}/buffer")
      d.run(timeout: 30, flush: false) do
        Process.kill(:KILL, stop_child_under_a_chunk(d))
        sleep 0.05 until taken.last == 'app 1' && d.instance.dequeued_chunks.empty?
        assert_equal(0, d.instance.num_errors)
      end
    end

    test 'or rather hangs does not keep Fluentd from stopping, and the chunk stays' do
      d = driver('shutdown_timeout 0.3', buffer: "@type file\npath #{@dir}/buffer")
      d.run(timeout: 30, flush: false) { stop_child_under_a_chunk(d) }
      assert_equal(1, Dir[File.join(@dir, 'buffer', 'buffer.q*.log')].size)
      assert_equal(['app 0'], taken)
    end

    test 'before it is ready, each time, does not keep Fluentd from stopping' do
      config = conf('shutdown_timeout 0.3', buffer: 'flush_at_shutdown true').tap { |c| c['command'] = 'false' }
      d = Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(config)
      Timeout.timeout(60) do
        d.run(flush: false) do
          2.times { |n| d.feed('app', TIME, { 'n' => n }) }
          sleep 0.05 until d.instance.statistics['output']['krone_children_started'] > 1
        end
      end
      assert_equal(1, d.logs.grep(/stopped without a flush/).size)
    end

    def driver_with_secondary(buffer)
      config = conf('', buffer: buffer)
      secondary = { '@type' => 'secondary_file', 'directory' => @dir }
      config.elements << Fluent::Config::Element.new('secondary', '', secondary, [])
      Fluent::Test::Driver::Output.new(Fluent::Plugin::KroneOutput).configure(config)
    end

    def rejected
      Dir[File.join(@dir, 'dump.bin*')].flat_map do |path|
        Fluent::MessagePackFactory.msgpack_unpacker.feed_each(File.binread(path)).map { |_, record| record['n'] }
      end
    end

    test 'over and over on one chunk leaves that to <secondary>, not those that were with it' do
      d = driver_with_secondary('retry_max_times 2')
      records = [{ 'n' => 0, 'do' => 'hold_once' }, { 'n' => 1, 'do' => 'die' }, { 'n' => 2 }, { 'n' => 3 }]
      d.run(timeout: 60, flush: false) do
        records.each { |record| d.feed('app', TIME, record) }
        sleep 0.05 until taken.last == 'app 3'
        assert_equal([1, 0], d.instance.statistics['output'].values_at('krone_chunks_given_up', 'retry_count'))
      end
      assert_equal([1], rejected)
      assert_equal(['app 0', 'app 1', 'app 0', 'app 1', 'app 1', 'app 2', 'app 3'], taken)
    end

    test 'over and over on one chunk leaves that to the backup directory where there is no <secondary>' do
      d = driver(buffer: 'retry_max_times 1')
      d.run(timeout: 30, flush: false) do
        d.feed('app', TIME, { 'n' => 1, 'do' => 'die' })
        sleep 0.05 until d.instance.buffer.queue.empty? && d.instance.dequeued_chunks.empty?
        d.feed('app', TIME, { 'n' => 2 })
        sleep 0.05 until taken.last == 'app 2'
      end
      assert_equal(['app 1', 'app 2'], taken)
      assert_match(/a chunk is given up.*died over it 1 times/, d.logs.grep(/given up/).first)
    end

    test 'of garbage from us or from itself is replaced too' do
      d = driver
      d.run(timeout: 30, flush: false) do
        d.feed('app', TIME, { 'n' => 1, 'do' => 'garbage' })
        sleep 0.05 until d.instance.statistics['output']['krone_children_started'] > 1
      end
      assert_equal(1, d.logs.grep(/not a frame/).size)
    end

    test 'leaves its log lines in ours, at their level' do
      d = driver
      run_with(d, { 'do' => 'print' })
      assert_match(/\[info\]/, d.logs.grep(/child says/).first)
      assert_match(/\[warn\]/, d.logs.grep(/careless library/).first)
    end
  end
end
