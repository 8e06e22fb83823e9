# frozen_string_literal: true

require 'monitor'
require 'shellwords'
require 'fluent/clock'
require 'fluent/match'
require 'fluent/plugin/output'

module Fluent::Plugin
  # `@type krone`: hands its buffer's chunks to a `fluent-krone pipe` child and routes the alerts that come back.
  #
  # Either direction of the pipe is one stream of msgpack objects. An array is a Forward-protocol frame:
  # down goes a chunk, its bytes untouched, up comes an alert. A map is control:
  #   down: {"ack": alert frame's id} once routed, {"flush": n} at shutdown
  #   up:   {"ready": version}, {"ack": chunk id} once taken in, {"flushed": n}, {"stats": {name: number}}
  # A chunk stays in the buffer until its ack: what a dead child had not acked goes to the next one, in order.
  class KroneOutput < Output
    Fluent::Plugin.register_output('krone', self)

    helpers :child_process, :event_emitter, :thread

    class AlertLoop < StandardError; end

    # What may be on its way to the child, in bytes: it reads on while it works, since the acks for its
    # alerts come behind the chunks, so this bounds its memory.
    WINDOW = 16 * 1024 * 1024
    CHILD_WAIT = 30 # seconds for a chunk to find a child that is ready and has room; then a retry is counted
    TAKE_BACK_WAIT = 5 # seconds at most
    DEFAULT_TAG = 'krone.${tag}'
    DEFAULT_FRAME_SIZE = '64m'
    FRAME_MARGIN = 1024 # bytes of a frame that are not the chunk's: tag, id, count

    # BEGIN generated from fluent_krone/config
    desc 'The model bundle: a directory, or the name of a bundle that comes with the package.'
    config_param :bundle, :string
    desc 'The field that holds the log message.'
    config_param :message_field, :string, default: nil
    desc 'The field that names the component which wrote the line.'
    config_param :component_field, :string, default: nil
    desc 'The field that holds the event time (ISO 8601, or seconds since 1970). Without it, Fluentd\'s event time counts.'
    config_param :time_field, :string, default: nil
    desc 'The strptime format of `time_field`. Such times are read as UTC.'
    config_param :time_format, :string, default: nil
    desc 'A regular expression with named groups that cuts a raw line into fields.'
    config_param :line_format, :string, default: nil
    desc 'Only this many bytes of a message are read; the rest is cut off. (default 8k)'
    config_param :max_message_size, :string, default: nil
    desc 'What identifies a session: field names, `tag`, or one `/regex/` that is searched in the message; separated by commas.'
    config_param :session_key, :string, default: nil
    desc 'A session ends when no event has arrived for this long.'
    config_param :idle_timeout, :string, default: nil
    desc 'Cuts the events of each key into fixed windows of this length; 0 for none.'
    config_param :window, :string, default: nil
    desc 'A session ends at the latest after this long; 0 for no limit.'
    config_param :max_age, :string, default: nil
    desc 'A session ends after this many events.'
    config_param :max_events, :string, default: nil
    desc 'A record belongs to at most this many sessions. Further keys are counted. (default 16)'
    config_param :max_keys_per_record, :string, default: nil
    desc 'The number of open sessions. Above it, the session that has been idle longest is judged and closed. (default 200000)'
    config_param :max_sessions, :string, default: nil
    desc 'What makes a session age: `stream` means event times, `wall` means arrival times. One of: stream, wall. (default stream)'
    config_param :idle_clock, :string, default: nil
    desc 'An event time that is further ahead of the clock than this is not believed. (default 1h)'
    config_param :max_future, :string, default: nil
    desc 'A single event time that is this far ahead of the events before it is not believed. (default 30d)'
    config_param :max_leap, :string, default: nil
    desc 'How many session states, and how many shapes of messages, are remembered. (default 100000)'
    config_param :cache_size, :string, default: nil
    desc 'The tag of alerts. `${tag}` and `${tag_parts[n]}` stand for the session\'s tag. (default krone.${tag})'
    config_param :tag, :string, default: nil
    desc 'A prefix that is put before the session\'s tag; used instead of `tag`.'
    config_param :add_tag_prefix, :string, default: nil
    desc 'A prefix that is first removed from the session\'s tag.'
    config_param :remove_tag_prefix, :string, default: nil
    desc 'At most one unseen_template alert is sent for each template in this time. (default 1h)'
    config_param :novelty_interval, :string, default: nil
    desc 'How many raw lines of each open session are kept as evidence; 0 for none. (default 256)'
    config_param :keep_lines, :string, default: nil
    desc 'How many raw lines an alert carries. (default 5)'
    config_param :max_lines, :string, default: nil
    desc 'Each raw line in an alert is cut after this many characters. (default 500)'
    config_param :max_line_length, :string, default: nil
    desc 'The file that keeps open sessions, chunk ids and alerts over restarts. Without it they are lost when the process ends.'
    config_param :store, :string, default: nil
    desc 'What a power cut may cost: with `normal` the last commits; with `full` nothing, at the price of one disk sync for each commit. One of: normal, full. (default normal)'
    config_param :store_sync, :string, default: nil
    desc 'The largest size of the store. Above it, chunk ids are deleted first; then the sessions that have been idle longest are judged and closed. (default 2g)'
    config_param :max_store_size, :string, default: nil
    desc 'How long a chunk may be sent again. Set it to at least `retry_timeout` of Fluentd. (default 3d)'
    config_param :keep_chunk_ids, :string, default: nil
    desc 'How many chunk ids are remembered; without a store at most 100000. (default 1000000)'
    config_param :max_chunk_ids, :string, default: nil
    desc 'What happens to open sessions when the service stops: `keep` stores them, `judge` judges them. `auto` keeps them if there is a store, and judges them otherwise. One of: auto, judge, keep. (default auto)'
    config_param :on_shutdown, :string, default: nil
    desc 'How often to check whether the bundle has changed; with 0 only on SIGHUP. (default 5s)'
    config_param :reload_interval, :string, default: nil
    desc 'A busy stream is committed and acknowledged this often. (default 0.5)'
    config_param :commit_interval, :string, default: nil
    desc 'A busy stream is committed after this many records. (default 30000)'
    config_param :commit_records, :string, default: nil
    desc 'The largest frame that is accepted from a client. (default 64m)'
    config_param :max_frame_size, :string, default: nil
    desc 'The largest size of a chunk after decompression. (default 256m)'
    config_param :max_inflated_size, :string, default: nil
    desc 'How many alerts may wait for their receiver. Above it, no more records are read. (default 10000)'
    config_param :max_alerts, :string, default: nil
    desc 'Who explains alerts: `evidence` uses only what this machine knows; `claude` asks Claude, once for sessions that run alike. One of: evidence, claude. (default evidence)'
    config_param :explain, :string, default: nil
    desc 'With `explain claude`: the model may clear sessions in the bundle\'s uncertainty band. (default false)'
    config_param :adjudicate, :string, default: nil
    desc 'The name of the model. (default claude-haiku-5-5)'
    config_param :explain_model, :string, default: nil
    desc 'The address of the model\'s API. Change it to use a gateway. (default https://api.anthropic.com)'
    config_param :explain_base_url, :string, default: nil
    desc 'The file that holds the API key. Without it, ANTHROPIC_API_KEY is read from the environment.'
    config_param :explain_api_key_file, :string, default: nil
    desc 'How long an alert waits for its explanation. After that it is sent with its evidence. (default 10s)'
    config_param :explain_timeout, :string, default: nil
    desc 'How many questions are asked at the same time. (default 2)'
    config_param :explain_concurrency, :string, default: nil
    desc 'How many questions may wait. Above it, alerts are sent with their evidence. (default 1000)'
    config_param :explain_queue, :string, default: nil
    desc 'How many of the nearest normal sessions the model sees beside the flagged one. (default 5)'
    config_param :explain_examples, :string, default: nil
    desc 'Show the model raw log lines as well, redacted, and not only templates. (default false)'
    config_param :explain_lines, :string, default: nil
    desc 'Further `/regex/`es, separated by commas; what they match is redacted.'
    config_param :explain_redact, :string, default: nil
    desc 'The price of a million input tokens, in US dollars. (default 0.1)'
    config_param :explain_input_price, :string, default: nil
    desc 'The price of a million output tokens, in US dollars. (default 0.5)'
    config_param :explain_output_price, :string, default: nil
    desc 'The most tokens used in an hour. After that, alerts are sent with their evidence. (default 500000)'
    config_param :explain_tokens_per_hour, :string, default: nil
    desc 'The most tokens used in a day. (default 2000000)'
    config_param :explain_tokens_per_day, :string, default: nil
    desc 'The most US dollars spent in an hour. After that, alerts are sent with their evidence. (default 0.5)'
    config_param :explain_usd_per_hour, :string, default: nil
    desc 'The most US dollars spent in a day. (default 2)'
    config_param :explain_usd_per_day, :string, default: nil
    desc 'The file of explanations and of what people have said about alerts. By default it lies beside `store`.'
    config_param :knowledge, :string, default: nil
    desc 'The file that records exactly what was sent to a model. By default it lies beside `store`.'
    config_param :ledger, :string, default: nil
    desc 'Serve `/metrics` for Prometheus, and `/healthz`, over HTTP. (default false)'
    config_param :metrics, :string, default: nil
    desc 'The address on which metrics are served. (default 127.0.0.1)'
    config_param :metrics_bind, :string, default: nil
    desc 'The port on which metrics are served. (default 24231)'
    config_param :metrics_port, :string, default: nil
    # END generated
    CHILD_PARAMS = configure_proxy(name).params.keys.freeze

    desc 'The detector: a program, with arguments before `pipe` if need be; started without a shell.'
    config_param :command, :string, default: 'fluent-krone'
    desc 'Seconds that a stop may take: until chunks in flight are acked, and the last alerts routed.'
    config_param :shutdown_timeout, :float, default: 30

    config_section :buffer do
      config_set_default :chunk_keys, ['tag']
      config_set_default :chunk_limit_size, 8 * 1024 * 1024
      config_set_default :flush_mode, :interval
      config_set_default :flush_interval, 1
      config_set_default :flush_thread_interval, 0.1
      config_set_default :flush_thread_burst_interval, 0
      config_set_default :delayed_commit_timeout, 3600 # each counts as a retry, and the child still has the chunk
    end

    def initialize
      super
      @lock = Monitor.new # guards all below
      @changed = @lock.new_cond
      @child = nil # standard input of the child that is ready
      @closing = false # no chunk goes down any more, no child is started
      @flushed = false
      @in_flight = {} # chunk id => bytes, oldest first; also the chunk that waits for the child
      @deaths = Hash.new(0) # chunk id => children that died while they had it alone
      @suspects = {} # chunk ids: one of them may have killed the child, so they go down one by one
      @waiting = nil # the chunk in flight that the child does not have yet
      @deaths_in_a_row = 0 # without an ack between them
      @counters = %w[children_started alerts_routed alerts_refused chunks_given_up].to_h { |name| ["krone_#{name}", 0] }
      @child_stats = {}
      @write_lock = Mutex.new # one frame at a time
    end

    def configure(conf)
      super
      if @buffer_config.flush_thread_count != 1
        raise Fluent::ConfigError, "flush_thread_count must be 1 to keep order, got #{@buffer_config.flush_thread_count}"
      end
      raise Fluent::ConfigError, "the chunk keys must include tag: write <buffer tag>" unless @chunk_key_tag
      if system_config.workers > 1
        raise Fluent::ConfigError, "each worker would see a part of each session: put @type krone into <worker 0>"
      end
      @most_deaths = @buffer_config.retry_max_times || 10
      @chunk_room = Fluent::Config.size_value(@max_frame_size || DEFAULT_FRAME_SIZE) - FRAME_MARGIN
      if @buffer.chunk_limit_size > @chunk_room
        raise Fluent::ConfigError, "chunk_limit_size #{@buffer.chunk_limit_size} of <buffer> must be at least 1k below " \
                                   "max_frame_size #{@max_frame_size || DEFAULT_FRAME_SIZE}: a frame holds a whole chunk"
      end
      refuse_loop(conf)
    end

    def multi_workers_ready?
      false
    end

    def start
      super
      start_child
    rescue SystemCallError => e
      raise Fluent::ConfigError, "command #{@command}: #{e.message}"
    end

    def try_write(chunk)
      return unless wanting?(chunk.unique_id)
      return give_up(chunk, "fluent-krone died over it #{@most_deaths} times") if @deaths[chunk.unique_id] >= @most_deaths

      fits = chunk.open do |io|
        next false if io.size > @chunk_room # which chunk_limit_size allows where the buffer compresses

        child = admit(chunk.unique_id, io.size)
        hand_over(child, chunk, io) if child
        true
      end
      give_up(chunk, 'it is too large for max_frame_size: lower chunk_limit_size') unless fits
    end

    # Drains in the order that the data takes: buffer, child, alerts. The outputs that alerts go to stop after this one.
    def before_shutdown
      super
      deadline = Fluent::Clock.now + @shutdown_timeout
      wait_until(deadline) { !@flush_at_shutdown || @buffer.dequeued.empty? }
      change { @closing = true }
      drained = wait_until(deadline) { @in_flight.empty? }
      tell(@child, 'flush' => 1) if drained && @child
      wait_until(deadline) { @flushed || @child.nil? } if drained
      return if @flushed

      log.warn 'fluent-krone was stopped without a flush', chunks_in_flight: @in_flight.size
      Process.kill(:KILL, @pid) if @write_lock.locked? # it hangs, and with it the thread that writes to it
    end

    # Shown by monitor_agent, and by Prometheus.
    def statistics
      stats = super
      stats['output'].merge!(@child_stats, @counters, 'krone_chunks_in_flight' => @in_flight.size)
      stats
    end

    # A chunk's way in: also the guard against alerts that come back, whatever <copy>, @label or filter they took.
    def emit_buffered(tag, events)
      raise AlertLoop, "alert #{tag} would come back to its own @type krone" if Thread.current[:krone_routing] == self

      super
    end

    private

    # -- the child's life

    def start_child
      program, *arguments = Shellwords.split(@command)
      flags = CHILD_PARAMS.filter_map { |name| (value = public_send(name)) && "--#{name.to_s.tr('_', '-')}=#{value}" }
      @pid = child_process_execute(:krone_child, program, arguments: [*arguments, 'pipe', *flags],
                                   mode: %i[read write stderr], internal_encoding: nil, scrub: false,
                                   on_exit_callback: method(:child_exited)) do |readio, writeio, stderrio|
        thread_create(:krone_log) { log_lines(stderrio) }
        listen(readio, writeio)
      end
      @counters['krone_children_started'] += 1
    end

    # Runs in the dead child's own thread, after its last frame was read.
    def child_exited(status)
      take_back
      return if @closing

      log.error 'fluent-krone died', status: status.to_s, restart_in: back_off
      restart
    end

    def restart
      wait_until(Fluent::Clock.now + back_off) { @closing }
      @lock.synchronize { start_child unless @closing }
    rescue SystemCallError => e # no process to be had just now
      @deaths_in_a_row += 1
      log.error 'fluent-krone does not start', error: e, restart_in: back_off
      retry
    end

    def back_off
      0.05 * 2**[@deaths_in_a_row, 9].min # 0.1 s … 25.6 s
    end

    # To the head of the queue, in the order that they went down. Commit time-outs may have put some there already, each
    # before the last. A chunk that the flush thread has taken from the queue and not brought to `admit` yet is the newest:
    # without it, it would overtake the others. None counts as a retry: that state is the whole output's, so that other
    # chunks would go to <secondary>, or all of them at the limit.
    def take_back
      change { @child = nil }
      wait_until(Fluent::Clock.now + TAKE_BACK_WAIT) { @buffer.dequeued.keys.all? { |id| @in_flight.key?(id) } }
      @lock.synchronize do
        @deaths_in_a_row += 1
        with_child = @in_flight.keys - [@waiting]
        with_child.each { |id| @suspects[id] = true }
        @deaths[with_child.first] += 1 if with_child.size == 1 # of several nobody knows which: they go on one by one
        places = @in_flight.each_key.with_index.to_h
        places.each_key { |id| rollback_write(id, update_retry: false) }
        @buffer.synchronize { @buffer.queue.sort_by!.with_index { |chunk, at| [places.fetch(chunk.unique_id, places.size), at] } }
        @in_flight.clear
        @changed.broadcast
      end
    end

    # What Fluentd does at an UnrecoverableError: this one chunk goes to <secondary>, else to its backup directory.
    # (Raised where the commit is delayed, Fluentd 1.18 would forget to take the chunk out of the buffer.)
    def give_up(chunk, reason)
      log.error 'a chunk is given up', reason: reason, bytes: chunk.bytesize, chunk: dump_unique_id_hex(chunk.unique_id)
      if @secondary.nil? || @secondary.delayed_commit
        backup_chunk(chunk, false, true)
      else
        @secondary.write(chunk)
        commit_write(chunk.unique_id, secondary: true)
      end
      @lock.synchronize { [@deaths, @suspects].each { |ids| ids.delete(chunk.unique_id) } }
      @counters['krone_chunks_given_up'] += 1
    end

    # `2026-01-01 00:00:00,000 INFO name text`: the time is ours to write. What has no level was not meant for a log.
    def log_lines(stderrio)
      stderrio.each_line do |line|
        text = line.chomp.force_encoding(Encoding::UTF_8).scrub
        head = text.match(/\A[\d:,. -]*(debug|info|warn|error)\w*:? /i)
        log.public_send(head ? head[1].downcase : :warn, head ? head.post_match : text)
      end
    rescue IOError
      nil # closed along with the child
    end

    # -- down

    # After a commit time-out Fluentd brings a chunk again that the same child still has: not another copy for its inbox, the
    # ack to come commits it. An ack that came while the chunk was back in the queue has committed nothing; then it goes
    # down again, and is acked as a repeat. One that came since it left the queue has, and there is no chunk any more.
    def wanting?(id)
      @lock.synchronize { !@in_flight.key?(id) && @buffer.dequeued.key?(id) }
    end

    # Waits for a child that is ready and has room; nil when the chunk was taken back meanwhile, or Fluentd stops.
    def admit(id, bytes)
      change do
        @in_flight[id] = bytes
        @waiting = id
        @suspects.clear if @in_flight.size == 1 && !@suspects.key?(id) # those that are left were given up
      end
      came = wait_until(Fluent::Clock.now + CHILD_WAIT) { @closing || !@in_flight.key?(id) || (@child && room?) }
      @lock.synchronize do
        @waiting = nil
        return @child if came && !@closing && @in_flight.key?(id)

        @in_flight.delete(id)
      end
      raise "fluent-krone is not ready for chunks since #{CHILD_WAIT} seconds" unless came
    end

    def room?
      @in_flight.size == 1 || (@suspects.empty? && @in_flight.each_value.sum <= WINDOW)
    end

    # [tag, bin 32 of the chunk as it lies in the buffer, option]
    def hand_over(child, chunk, io)
      tag = chunk.metadata.tag.dup.force_encoding(Encoding::UTF_8)
      option = { 'chunk' => dump_unique_id_hex(chunk.unique_id), 'size' => chunk.size }
      @write_lock.synchronize do
        child.write("\x93".b, tag.to_msgpack, [0xc6, io.size].pack('CN'))
        IO.copy_stream(io, child)
        child.write(option.to_msgpack)
      end
    rescue Errno::EPIPE, IOError
      nil # the child is dying: take_back has the chunk
    end

    def tell(child, message)
      @write_lock.synchronize { child.write(message.to_msgpack) }
    rescue Errno::EPIPE, IOError
      nil # the child is dying
    end

    # -- up

    def listen(readio, writeio)
      writeio.sync = true
      Fluent::MessagePackFactory.msgpack_unpacker(readio).each do |frame|
        case frame
        when Array then route(writeio, *frame)
        when Hash then frame.each { |name, value| heed(writeio, name, value) }
        else raise MessagePack::UnpackError, "#{frame.class} is neither a frame nor control"
        end
      end
    rescue StandardError => e
      log.error 'fluent-krone sent what is no frame', error: e
      Process.kill(:KILL, child_process_id)
    ensure
      # The helper would close it under a copy that is under way, which then goes on into whatever file is opened next.
      @write_lock.synchronize { writeio.close }
    end

    def heed(child, name, value)
      case name
      when 'ready'
        log.info 'fluent-krone is ready', version: value, pid: child_process_id
        change { @child = child }
      when 'ack' then committed([value].pack('H*'))
      when 'flushed' then change { @flushed = true }
      when 'stats' then @child_stats = value.transform_keys { |counter| "krone_#{counter}" }
      end
    end

    def committed(id)
      change do
        commit_write(id) # in one step with the next line, for `wanting?`
        @in_flight.delete(id)
        @suspects.delete(id)
        @deaths.delete(id)
        @deaths_in_a_row = 0
      end
    end

    # An alert is acked once Fluentd has it; while its way is blocked (a full buffer), so are the acks behind it.
    def route(child, tag, entries, option)
      sleep 0.05 until after_started? || shutdown? # the last child's alerts come at once, maybe before our receivers
      events = Fluent::MessagePackEventStream.new(entries, nil, option['size'].to_i)
      begin
        emit(tag, events)
      rescue AlertLoop => e
        @counters['krone_alerts_refused'] += events.size
        log.error 'alert refused', error: e
      rescue StandardError
        raise if shutdown?

        sleep 1
        retry
      end
      tell(child, 'ack' => option['chunk'])
    end

    def emit(tag, events)
      Thread.current[:krone_routing] = self
      router.emit_stream(tag, events)
      @counters['krone_alerts_routed'] += events.size
    ensure
      Thread.current[:krone_routing] = nil
    end

    # -- loops that show in the configuration

    # An earlier <match> may take the alerts, which the router knows: it has all rules above this one by now.
    def refuse_loop(conf)
      return if conf['@label']

      own = conf.arg.split.map { |pattern| Fluent::MatchPattern.create(pattern) }
      looping = sample_tags(conf.arg).map { |tag| alert_tag(tag) }.find { |tag| own.any? { |pattern| pattern.match(tag) } }
      return if looping.nil? || context_router&.match?(looping)

      raise Fluent::ConfigError, "an alert tagged #{looping} would come back to its own <match #{conf.arg}>: " \
                                 'set tag, narrow the pattern, or set @label'
    end

    # Tags that the patterns catch, the shortest and a longer one; none for a regular expression.
    def sample_tags(patterns)
      globs = patterns.split.grep_v(%r{\A/}).map { |pattern| pattern.gsub(/\{([^,}]*)[^}]*\}/, '\1') }
      globs.flat_map { |glob| [glob.gsub('.**', ''), glob] }.map { |glob| glob.gsub(/\*+/, 'any') }
    end

    def alert_tag(tag)
      tag = tag.delete_prefix("#{@remove_tag_prefix}.") if @remove_tag_prefix
      return "#{@add_tag_prefix}.#{tag}" if @add_tag_prefix

      (@tag || DEFAULT_TAG).gsub('${tag}', tag).gsub(/\$\{tag_parts\[(-?\d+)\]\}/) { tag.split('.')[Regexp.last_match(1).to_i] }
    end

    # -- waiting

    def change
      @lock.synchronize { yield.tap { @changed.broadcast } }
    end

    # Whether the block came true by then; it is asked again after each change.
    def wait_until(deadline)
      @lock.synchronize do
        until (came = yield)
          left = deadline - Fluent::Clock.now
          return false if left <= 0

          @changed.wait(left)
        end
        came
      end
    end
  end
end
