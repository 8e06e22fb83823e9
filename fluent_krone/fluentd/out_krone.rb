# frozen_string_literal: true

require 'monitor'
require 'open3'
require 'shellwords'
require 'fluent/clock'
require 'fluent/match'
require 'fluent/plugin/output'

module Fluent::Plugin
  # `@type krone`: passes the chunks of its buffer to a `fluent-krone pipe` child, and routes the
  # alerts that come back.
  #
  # Either direction of the pipe is one stream of msgpack objects. An array is a Forward frame: a
  # chunk goes down with its bytes unchanged, and an alert comes up. A map is a control message:
  #   down: {"ack": id of an alert frame} once routed, {"flush": n} at shutdown
  #   up:   {"ready": version}, {"ack": chunk id} once committed, {"flushed": n},
  #         {"stats": {name: number}}
  # A chunk stays in the buffer until its ack. When a child dies, the chunks that it had not acked
  # go to the next child, in the same order.
  class KroneOutput < Output
    Fluent::Plugin.register_output('krone', self)

    helpers :child_process, :event_emitter, :thread

    class AlertLoop < StandardError; end

    # BEGIN generated from fluent_krone/__init__.py
    VERSION = '0.1.0'
    # END generated

    # Bytes of chunks that may be on their way to the child. The child reads on while it works,
    # because the acks of its alerts come behind the chunks, so this bounds its memory.
    WINDOW = 16 * 1024 * 1024
    # Seconds that a chunk waits for a child that is ready and has room. Then a retry is counted.
    CHILD_WAIT = 30
    PROGRAM = 'fluent-krone'
    # Where the documentation installs the Python side, apart from the system's own Python.
    PROGRAM_FOLDERS = ['/opt/fluent-krone/bin'].freeze
    HOW_TO_INSTALL = 'install the Python side with `python3 -m venv /opt/fluent-krone && ' \
                     "/opt/fluent-krone/bin/pip install fluent_krone-#{VERSION}-py3-none-any.whl`, " \
                     'or set command to its path'
    DEFAULT_TAG = 'krone.${tag}'
    DEFAULT_KEEP_TAG = 'keep.${tag}'
    DEFAULT_KEEP_SUMMARY_TAG = 'keep.summary'
    DEFAULT_ANNOTATE_TAG = 'annotated.${tag}'
    DEFAULT_FRAME_SIZE = '272m'
    # Bytes of a frame beside those of its chunk: tag, id and count.
    FRAME_MARGIN = 1024

    # BEGIN generated from fluent_krone/config
    desc 'The model bundle: a directory, or the name of a bundle that comes with the package.'
    config_param :bundle, :string
    desc 'The field that holds the log message.'
    config_param :message_field, :string, default: nil
    desc 'The field that names the component which wrote the line.'
    config_param :component_field, :string, default: nil
    desc 'The field that holds the event time (ISO 8601, or seconds since 1970). Without it, Fluentd\'s event time counts.'
    config_param :time_field, :string, default: nil
    desc 'The strptime format of `time_field`. Without it all usual forms are read. Where `line_format` has several lines, it may have one for each of them.'
    config_param :time_format, :string, default: nil
    desc 'The time zone of times without an offset, by its IANA name, such as `Europe/Berlin`. Without it, the bundle\'s zone is used, or UTC.'
    config_param :timezone, :string, default: nil
    desc 'The field that holds the level, where it has no usual name. Without it, `level`, `severity`, `log.level` and other usual names are looked for; where it is empty, records have no level.'
    config_param :level_field, :string, default: nil
    desc 'A regular expression with named groups that cuts a raw line into fields. Where lines of several programs come together, it has several, one on each line; the first that fits counts. A group `json` is a record whose usual fields are level, component, time and message, with its other fields behind the text of that. Where a format has a group `header`, that is all before the message, the session key is the first that its regular expression finds in the whole line. Its groups `date`, `time` and `time_zone` make the time together, unless `time_field` names a field.'
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
    desc 'Events that arrive up to this much late are taken in the order of their times; 0 takes them as they come. A bundle must be fitted with the same value.'
    config_param :allowed_lateness, :string, default: nil
    desc 'A session ends after this many events.'
    config_param :max_events, :string, default: nil
    desc 'A record belongs to at most this many sessions. Further keys are counted. (default 16)'
    config_param :max_keys_per_record, :string, default: nil
    desc 'The number of open sessions. Above it, the session that has been idle longest is judged and closed. (default 200000)'
    config_param :max_sessions, :string, default: nil
    desc 'What makes a session age: `stream` means event times, `wall` means arrival times. One of: stream, wall. (default stream)'
    config_param :idle_clock, :string, default: nil
    desc 'An event time that is further ahead of the clock than this is not believed. `replay` believes it, since a file may have local times. (default 1h)'
    config_param :max_future, :string, default: nil
    desc 'A single event time that is this far ahead of the events before it is not believed. (default 30d)'
    config_param :max_leap, :string, default: nil
    desc 'How many session states, and how many shapes of messages, are remembered. (default 100000)'
    config_param :cache_size, :string, default: nil
    desc 'Learns a bundle from this much of the stream when the directory `bundle` does not exist yet. Until then records are collected on disk and not judged.'
    config_param :learn, :string, default: nil
    desc 'Learns a bundle from this many sessions when the directory `bundle` does not exist yet. With `learn` as well, what is reached first ends the learning.'
    config_param :learn_sessions, :string, default: nil
    desc 'The largest size of what is collected to learn from. Four fifths of it are learnt from; the rest holds what comes while the bundle is fitted. (default 1g)'
    config_param :learn_size, :string, default: nil
    desc 'What happens to the next bundle, where `bundle` is a directory of bundles: with `ask` it is reported, and a person swaps it in; with `auto` it is swapped in if nothing is against it; with `off` none is fitted. One of: ask, auto, off. (default ask)'
    config_param :refit, :string, default: nil
    desc 'How often the next bundle is fitted. (default 1d)'
    config_param :refit_interval, :string, default: nil
    desc 'The next bundle is fitted to at most this many sessions: recent ones, of every kind, without those that alerted. (default 20000)'
    config_param :refit_sessions, :string, default: nil
    desc 'The largest size of what is recorded of the last day and kept for the next bundle. (default 512m)'
    config_param :refit_size, :string, default: nil
    desc 'The tag of alerts. `${tag}` and `${tag_parts[n]}` stand for the session\'s tag. (default krone.${tag})'
    config_param :tag, :string, default: nil
    desc 'A prefix that is put before the session\'s tag; used instead of `tag`.'
    config_param :add_tag_prefix, :string, default: nil
    desc 'A prefix that is first removed from the session\'s tag.'
    config_param :remove_tag_prefix, :string, default: nil
    desc 'How many false alarms to accept in 1,000 normal sessions, all kinds of alerts together; more finds more. Without it, the bundle\'s own number counts, which is usually 1.'
    config_param :false_alarms, :string, default: nil
    desc 'How many false alarms to accept in a week about the stream as a whole: bursts of a step, and silences (`flow` alerts); 0 for no such alerts. (default 1)'
    config_param :flow_false_alarms, :string, default: nil
    desc 'What is sent: `incident` joins alerts that belong together, and sends an event when their incident begins, grows and ends; `session` sends every alert. One of: incident, session. (default incident)'
    config_param :alerts, :string, default: nil
    desc 'An incident ends when no alert has joined it for this long, in stream time. (default 15m)'
    config_param :incident_quiet, :string, default: nil
    desc 'At most one unseen_template alert is sent for each template in this time. (default 1h)'
    config_param :novelty_interval, :string, default: nil
    desc 'How long to wait until it is decided whether a new message is an odd line or part of a deploy. Alerts about new messages that do not speak of an error wait for at most this long; 0 looks for no deploys. (default 5m)'
    config_param :change_settle, :string, default: nil
    desc 'The field that names the version of the program, by record accessor, such as `$.kubernetes.labels.version`. Without it, the usual places are tried.'
    config_param :version_field, :string, default: nil
    desc 'How many raw lines of each open session are kept as evidence; 0 for none. (default 256)'
    config_param :keep_lines, :string, default: nil
    desc 'How many raw lines an alert carries. (default 5)'
    config_param :max_lines, :string, default: nil
    desc 'Fields of a session\'s first record that its alerts show, as names or record accessors (`$.kubernetes.pod_name`). Without it, those that the export found are shown, or else the usual ones of Kubernetes, containers and traces.'
    config_param :alert_fields, :string, default: nil
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
    desc 'The largest frame that is accepted from a client. Above it, the sender has to make smaller chunks. (default 272m)'
    config_param :max_frame_size, :string, default: nil
    desc 'The largest size of a chunk after decompression. Above it, the chunk is lost. (default 1g)'
    config_param :max_inflated_size, :string, default: nil
    desc 'How many alerts may wait for their receiver. Above it, no more records are read. (default 10000)'
    config_param :max_alerts, :string, default: nil
    desc 'Send every record on at once, with its template, entity, action, status and session as fields. (default false)'
    config_param :annotate, :string, default: nil
    desc 'The tag of these records. `${tag}` and `${tag_parts[n]}` stand for the record\'s tag. (default annotated.${tag})'
    config_param :annotate_tag, :string, default: nil
    desc 'Who explains alerts: `evidence` uses only what this machine knows; `claude` asks Claude and `model` asks another model, once for sessions that run alike. One of: evidence, claude, model. (default evidence)'
    config_param :explain, :string, default: nil
    desc 'With `explain claude`: the model may clear sessions in the bundle\'s uncertainty band. (default false)'
    config_param :adjudicate, :string, default: nil
    desc 'How long an alert waits for its explanation. After that it is sent with its evidence. (default 10s)'
    config_param :explain_timeout, :string, default: nil
    desc 'How long an answer may take. One that comes after `explain_timeout` is kept for the next alert of the same pattern. (default 2m)'
    config_param :explain_answer_timeout, :string, default: nil
    desc 'Send an alert once more, under the same `alert_id`, when its explanation comes after it was sent. (default false)'
    config_param :explain_late, :string, default: nil
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
    desc 'The file of explanations and of what people have said about alerts. By default it lies beside `store`.'
    config_param :knowledge, :string, default: nil
    desc 'The file that records exactly what was sent to a model. By default it lies beside `store`.'
    config_param :ledger, :string, default: nil
    desc 'How the model is asked: by the Messages API (Claude, llama.cpp), or by OpenAI\'s Chat Completions API (Ollama, vLLM, LM Studio), which needs the extra `openai`. One of: messages, openai. (default messages)'
    config_param :explain_protocol, :string, default: nil
    desc 'The name of the model. (default claude-haiku-5-5)'
    config_param :explain_model, :string, default: nil
    desc 'The address of the model\'s API, with or without `/v1`. Change it to use a gateway or a model of your own. (default https://api.anthropic.com)'
    config_param :explain_base_url, :string, default: nil
    desc 'Allow an `http://` address of another machine. Everybody on the way can then read the questions and the API key. (default false)'
    config_param :explain_allow_insecure, :string, default: nil
    desc 'The file that holds the API key. Without it, ANTHROPIC_API_KEY (or OPENAI_API_KEY) is read from the environment. A model on this machine needs no key.'
    config_param :explain_api_key_file, :string, default: nil
    desc 'The price of a million input tokens, in US dollars. By default it is the list price of the default model, 0 for a model on this machine, and otherwise unknown.'
    config_param :explain_input_price, :string, default: nil
    desc 'The price of a million output tokens, in US dollars; by default as for input tokens.'
    config_param :explain_output_price, :string, default: nil
    desc 'The most tokens used in an hour. After that, alerts are sent with their evidence. (default 500000)'
    config_param :explain_tokens_per_hour, :string, default: nil
    desc 'The most tokens used in a day. (default 2000000)'
    config_param :explain_tokens_per_day, :string, default: nil
    desc 'The most US dollars spent in an hour. After that, alerts are sent with their evidence. (default 0.5)'
    config_param :explain_usd_per_hour, :string, default: nil
    desc 'The most US dollars spent in a day. (default 2)'
    config_param :explain_usd_per_day, :string, default: nil
    desc 'Serve `/metrics` for Prometheus, and `/healthz`, over HTTP. (default false)'
    config_param :metrics, :string, default: nil
    desc 'The address on which metrics are served. (default 127.0.0.1)'
    config_param :metrics_bind, :string, default: nil
    desc 'The port on which metrics are served. (default 24231)'
    config_param :metrics_port, :string, default: nil
    desc 'Serve the live page, on which incidents are read and marked, at the address of the metrics. The log shows its address with a token at each start. (default false)'
    config_param :console, :string, default: nil
    desc 'The file that holds the token of the live page. Without it, a random token is made at each start.'
    config_param :console_token_file, :string, default: nil
    # END generated
    CHILD_PARAMS = configure_proxy(name).params.keys.freeze

    # A section of its own: with it, records of judged sessions come back under tags of their own.
    config_section :keep, param_name: :kept, required: false, multi: false do
      # BEGIN generated from fluent_krone/config/keeping.py
      desc 'How many normal sessions of each kind of execution are kept per day of stream time. (default 3)'
      config_param :per_kind, :string, default: nil
      desc 'Which normal sessions are of one kind: with `bag` those that have each step equally often, with `nested` those that also have equally many runs of each entity and action, with `order` those that have the same steps in the same order. One of: nested, bag, order. (default nested)'
      config_param :kind, :string, default: nil
      desc 'The share of the other normal sessions that is kept. A hash of the session key decides, so that several machines keep the same sessions. (default 0.01)'
      config_param :share, :string, default: nil
      desc 'What happens to records that belong to no session: `keep` sends them at once. One of: keep, drop. (default keep)'
      config_param :outside, :string, default: nil
      desc '`/regex/`es, separated by commas. A record whose message one of them matches is kept, whatever its session is.'
      config_param :always, :string, default: nil
      desc 'A record with this level, or a more severe one, is kept, whatever its session is. One of: none, warn, error, critical. (default error)'
      config_param :level, :string, default: nil
      desc 'The largest size of the records that are held. Above it, the sessions that began first are sent as they are, before they are judged. On Kafka it counts for each partition. (default 1g)'
      config_param :size, :string, default: nil
      desc 'How often sessions and records that were not kept are counted in an event of their own; 0 for never. (default 1m)'
      config_param :summary, :string, default: nil
      desc 'The tag of kept records. `${tag}` and `${tag_parts[n]}` stand for the record\'s tag. (default keep.${tag})'
      config_param :tag, :string, default: nil
      desc 'A prefix that is put before the record\'s tag; used instead of the tag.'
      config_param :add_tag_prefix, :string, default: nil
      desc 'A prefix that is first removed from the record\'s tag.'
      config_param :remove_tag_prefix, :string, default: nil
      desc 'The tag of the events that count what was not kept. (default keep.summary)'
      config_param :summary_tag, :string, default: nil
      desc 'What the names of all fields that are added to a record begin with. (default krone.)'
      config_param :prefix, :string, default: nil
      desc 'The folder that holds records until their session is judged. By default it lies beside `store`; without a store, and on Kafka, it is a temporary one.'
      config_param :folder, :string, default: nil
      # END generated
    end

    desc 'The detector: a program, and arguments that go before `pipe`. It is started without a shell. ' \
         'By default fluent-krone is looked for on PATH and in /opt/fluent-krone/bin.'
    config_param :command, :string, default: nil
    desc 'Seconds that a stop may take to get the last chunks acked and the last alerts routed.'
    config_param :shutdown_timeout, :float, default: 30

    config_section :buffer do
      config_set_default :chunk_keys, ['tag']
      config_set_default :chunk_limit_size, 8 * 1024 * 1024
      config_set_default :flush_mode, :interval
      config_set_default :flush_interval, 1
      config_set_default :flush_thread_interval, 0.1
      config_set_default :flush_thread_burst_interval, 0
      # A time-out counts as a retry, although the child still has the chunk. So it is long.
      config_set_default :delayed_commit_timeout, 3600
    end

    def initialize
      super
      # This lock guards all variables below.
      @lock = Monitor.new
      @changed = @lock.new_cond
      # Standard input of the child, once it is ready.
      @child = nil
      # Set at shutdown: no chunk is sent any more, and no child is started.
      @closing = false
      @flushed = false
      # Chunk id => bytes, oldest first. The chunk that waits for the child is among them.
      @in_flight = {}
      # Process id of the newest child; nil while none was ever started.
      @pid = nil
      # Chunk id => the number of children that died while they had only this chunk.
      @deaths = Hash.new(0)
      # Chunk ids of which one may have killed the child. They are sent one by one.
      @suspects = {}
      # The chunk in flight that the child does not have yet.
      @waiting = nil
      # Ids of chunks that a dead child left, and that were not sent again yet, oldest first.
      @first_again = []
      # Children that died without an ack between them.
      @deaths_in_a_row = 0
      names = %w[children_started alerts_routed alerts_refused chunks_given_up]
      @counters = names.to_h { |name| ["krone_#{name}", 0] }
      @child_stats = {}
      # One frame at a time.
      @write_lock = Mutex.new
    end

    def configure(conf)
      super
      if @buffer_config.flush_thread_count != 1
        raise Fluent::ConfigError, 'flush_thread_count must be 1 to keep chunks in order, ' \
                                   "got #{@buffer_config.flush_thread_count}"
      end
      raise Fluent::ConfigError, 'the chunk keys must include tag: write <buffer tag>' unless @chunk_key_tag
      if system_config.workers > 1
        raise Fluent::ConfigError, 'each worker would see only a part of each session: ' \
                                   'put @type krone into <worker 0>, or let all workers send ' \
                                   'to one `fluent-krone serve` by @type forward'
      end
      @most_deaths = @buffer_config.retry_max_times || 10
      @chunk_room = Fluent::Config.size_value(@max_frame_size || DEFAULT_FRAME_SIZE) - FRAME_MARGIN
      if @buffer.chunk_limit_size > @chunk_room
        raise Fluent::ConfigError, "chunk_limit_size #{@buffer.chunk_limit_size} of <buffer> must be at " \
                                   "least 1k below max_frame_size #{@max_frame_size || DEFAULT_FRAME_SIZE}: " \
                                   'a frame holds a whole chunk'
      end
      refuse_loop(conf)
      # The supervisor configures before any worker starts, at a reload and in a dry run.
      check_parameters if Fluent::Engine.supervisor_mode
    end

    def multi_workers_ready?
      false
    end

    def start
      super
      start_child
    rescue SystemCallError => e
      refuse_program(e)
    end

    def try_write(chunk)
      return unless wanting?(chunk.unique_id)

      if @deaths[chunk.unique_id] >= @most_deaths
        return give_up(chunk, "fluent-krone died over it #{@most_deaths} times")
      end

      fits = chunk.open do |io|
        # chunk_limit_size does not prevent this where the buffer compresses.
        next false if io.size > @chunk_room

        child = admit(chunk.unique_id, io.size)
        hand_over(child, chunk, io) if child
        true
      end
      give_up(chunk, 'it is too large for max_frame_size: lower chunk_limit_size') unless fits
    end

    # Empties what the data passes through, in its order: buffer, child, alerts. The outputs that
    # take the alerts stop after this one.
    def before_shutdown
      # At a reload the supervisor shuts down an instance that it only configured.
      return super if @pid.nil?

      deadline = Fluent::Clock.now + @shutdown_timeout
      # Fluentd's own flush ends when the buffer is empty. Where children die again and again, their
      # chunks go back, and it would never end.
      thread_create(:krone_shutdown) do
        wait_until(deadline) { @closing }
        change { @closing = true }
      end
      super
      wait_until(deadline) { !@flush_at_shutdown || @buffer.dequeued.empty? }
      change { @closing = true }
      drained = wait_until(deadline) { @in_flight.empty? }
      tell(@child, 'flush' => 1) if drained && @child
      wait_until(deadline) { @flushed || @child.nil? } if drained
      return if @flushed

      log.warn 'fluent-krone was stopped without a flush: what it had not acknowledged within shutdown_timeout is sent ' \
               'again at the next start if the buffer is a file, and lost if it is memory',
               shutdown_timeout: @shutdown_timeout, chunks_in_flight: @in_flight.size
      # A child that does not read would block the thread that writes to it for ever.
      Process.kill(:KILL, @pid) if @write_lock.locked?
    end

    # Numbers for monitor_agent and for the Prometheus plugin.
    def statistics
      stats = super
      stats['output'].merge!(@child_stats, @counters, 'krone_chunks_in_flight' => @in_flight.size)
      stats
    end

    # Takes records in. Alerts that come back are refused here, whatever <copy>, @label or filter
    # they passed.
    def emit_buffered(tag, events)
      if Thread.current[:krone_routing] == self
        raise AlertLoop, "alert #{tag} would come back to its own @type krone"
      end

      super
    end

    private

    # -- the child's life

    # Has the program look at parameters and bundle. So what an operator has to correct stops
    # Fluentd in one line, and is not a child that dies again and again.
    def check_parameters
      said, status = Open3.capture2e(*program, 'pipe', '--check', *flags, stdin_data: '')
      return if status.success?

      reason = said.scrub.lines(chomp: true).last || "#{program.first} ended: #{status}"
      raise Fluent::ConfigError, reason.delete_prefix("#{PROGRAM}: ")
    rescue SystemCallError => e
      refuse_program(e)
    end

    # The program and the arguments that go before `pipe`.
    def program
      @program ||= @command ? Shellwords.split(@command) : [find_program]
    end

    def refuse_program(error)
      raise Fluent::ConfigError, "command #{program.first} does not start (#{error.message}): #{HOW_TO_INSTALL}"
    end

    # The program of the Python side: on PATH, or where the documentation installs it. A service
    # manager gives Fluentd a short PATH.
    def find_program
      folders = ENV.fetch('PATH', '').split(File::PATH_SEPARATOR) + PROGRAM_FOLDERS
      found = folders.map { |folder| File.join(folder, PROGRAM) }
      found = found.find { |path| File.file?(path) && File.executable?(path) }
      return found if found

      raise Fluent::ConfigError, "#{PROGRAM} is neither on PATH nor in #{PROGRAM_FOLDERS.join(', ')}: " \
                                 "#{HOW_TO_INSTALL}"
    end

    def flags
      values = CHILD_PARAMS.to_h { |name| [name, public_send(name)] }
      values.merge!(keep: 'true', **@kept.to_h.transform_keys { |name| :"keep_#{name}" }) if @kept
      values.compact.map { |name, value| "--#{name.to_s.tr('_', '-')}=#{value}" }
    end

    def start_child
      command, *arguments = program
      @pid = child_process_execute(:krone_child, command, arguments: [*arguments, 'pipe', *flags],
                                   mode: %i[read write stderr], internal_encoding: nil, scrub: false,
                                   on_exit_callback: method(:child_exited)) do |readio, writeio, stderrio|
        thread_create(:krone_log) { log_lines(stderrio) }
        listen(readio, writeio)
      end
      @counters['krone_children_started'] += 1
    end

    # Runs in the thread of the dead child, after its last frame was read.
    def child_exited(status)
      take_back
      return if @closing

      log.error 'fluent-krone died', status: status.to_s, restart_in: back_off
      restart
    end

    def restart
      wait_until(Fluent::Clock.now + back_off) { @closing }
      @lock.synchronize { start_child unless @closing }
    rescue SystemCallError => e
      # The system cannot start a process at the moment.
      @deaths_in_a_row += 1
      log.error 'fluent-krone does not start', error: e, restart_in: back_off
      retry
    end

    # Seconds: 0.1 after the first death, and at most 25.6.
    def back_off
      0.05 * 2**[@deaths_in_a_row, 9].min
    end

    # Puts the chunks of a dead child back at the head of the queue, in the order in which they were
    # sent:
    #
    # 1. The flush thread may have taken a chunk from the queue, or take one meanwhile, that would
    #    overtake others. It finds out in `its_turn?`.
    # 2. When several chunks were with the child, nobody knows which one killed it. They become
    #    suspects, which go down one by one. A chunk that was alone with the child is counted.
    # 3. No chunk counts as a retry. That count belongs to the whole output, so other chunks would
    #    go to <secondary>, or all of them at the limit.
    # 4. Commit time-outs may have put some of the chunks back already, each before the previous
    #    one. So the queue is sorted at last.
    def take_back
      change do
        @child = nil
        @deaths_in_a_row += 1
        with_child = @in_flight.keys - [@waiting]
        with_child.each { |id| @suspects[id] = true }
        @deaths[with_child.first] += 1 if with_child.size == 1
        @first_again = @in_flight.keys | @first_again
        put_back(*@in_flight.keys)
        @in_flight.clear
      end
    end

    # Puts chunks back into the queue, and those that come first again at its head.
    def put_back(*ids)
      ids.each { |id| rollback_write(id, update_retry: false) }
      places = @first_again.each_with_index.to_h
      @buffer.synchronize do
        @buffer.queue.sort_by!.with_index do |chunk, at|
          [places.fetch(chunk.unique_id, places.size), at]
        end
      end
    end

    # Whether no chunk that comes first again is still to be sent before this one. Those that left
    # the queue in another way, as to <secondary>, come no more.
    def its_turn?(id)
      return true if @first_again.empty?

      queued = @buffer.synchronize { @buffer.queue.map(&:unique_id) }
      @first_again &= [id, *queued]
      @first_again.empty? || @first_again.first == id
    end

    # Does what Fluentd does at an UnrecoverableError: this one chunk goes to <secondary>, or else
    # to the backup directory. The error itself is not raised, because where commits are delayed
    # Fluentd 1.18 would not take the chunk out of the buffer.
    def give_up(chunk, reason)
      log.error 'a chunk is given up', reason: reason, bytes: chunk.bytesize,
                                       chunk: dump_unique_id_hex(chunk.unique_id)
      if @secondary.nil? || @secondary.delayed_commit
        backup_chunk(chunk, false, true)
      else
        @secondary.write(chunk)
        commit_write(chunk.unique_id, secondary: true)
      end
      @lock.synchronize { [@deaths, @suspects].each { |ids| ids.delete(chunk.unique_id) } }
      @counters['krone_chunks_given_up'] += 1
    end

    # Logs the child's lines, `2026-01-01 00:00:00,000 INFO name text`, under their level. Fluentd
    # writes its own time. A line without a level was not written by a logger.
    def log_lines(stderrio)
      stderrio.each_line do |line|
        text = line.chomp.force_encoding(Encoding::UTF_8).scrub
        head = text.match(/\A[\d:,. -]*(debug|info|warn|error)\w*:? /i)
        log.public_send(head ? head[1].downcase : :warn, head ? head.post_match : text)
      end
    rescue IOError
      nil # it was closed along with the child
    end

    # -- down

    # Whether a chunk has to be sent. After a commit time-out Fluentd brings a chunk again:
    #
    # 1. The same child may still have it. Then it gets no second copy, and its ack commits the
    #    chunk.
    # 2. An ack that came while the chunk was back in the queue has committed nothing. Then the
    #    chunk is sent again, and is acked as a repeat.
    # 3. An ack that came after the chunk left the queue has committed it, and it no longer exists.
    def wanting?(id)
      @lock.synchronize { !@in_flight.key?(id) && @buffer.dequeued.key?(id) }
    end

    # Waits for a child that is ready and has room, and returns it. Returns nil when another chunk
    # comes first, when this one was taken back meanwhile, or when Fluentd stops.
    def admit(id, bytes)
      change do
        unless its_turn?(id)
          put_back(id)
          return nil
        end
        @first_again.delete(id)
        @in_flight[id] = bytes
        @waiting = id
        # Suspects that are left by now were given up.
        @suspects.clear if @in_flight.size == 1 && !@suspects.key?(id)
      end
      came = wait_until(Fluent::Clock.now + CHILD_WAIT) do
        @closing || !@in_flight.key?(id) || (@child && room?)
      end
      @lock.synchronize do
        @waiting = nil
        return @child if came && !@closing && @in_flight.key?(id)

        @in_flight.delete(id)
        @first_again.unshift(id) unless @first_again.include?(id)
      end
      raise "fluent-krone was not ready for a chunk within #{CHILD_WAIT} seconds" unless came
    end

    def room?
      @in_flight.size == 1 || (@suspects.empty? && @in_flight.each_value.sum <= WINDOW)
    end

    # Sends [tag, the chunk's bytes as a bin 32, option]; nothing is decoded or copied in Ruby.
    def hand_over(child, chunk, io)
      tag = chunk.metadata.tag.dup.force_encoding(Encoding::UTF_8)
      option = { 'chunk' => dump_unique_id_hex(chunk.unique_id), 'size' => chunk.size }
      @write_lock.synchronize do
        child.write("\x93".b, tag.to_msgpack, [0xc6, io.size].pack('CN'))
        IO.copy_stream(io, child)
        child.write(option.to_msgpack)
      end
    rescue Errno::EPIPE, Errno::EBADF, IOError
      # The child is dying, and take_back has the chunk. copy_stream says EBADF where the pipe is
      # closed while it copies.
      nil
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
        when Hash then frame.each { |name, value| obey(writeio, name, value) }
        else raise MessagePack::UnpackError, "#{frame.class} is neither a frame nor control"
        end
      end
    rescue StandardError => e
      log.error 'fluent-krone sent something that is not a frame', error: e
      Process.kill(:KILL, child_process_id)
    ensure
      # Wait for a copy that is under way. The helper would close the pipe under it, and the copy
      # would go on into whatever file is opened next.
      @write_lock.synchronize { writeio.close }
    end

    def obey(child, name, value)
      case name
      when 'ready'
        log.info 'fluent-krone is ready', version: value, pid: child_process_id
        check_version(value)
        change { @child = child }
      when 'ack' then committed([value].pack('H*'))
      when 'flushed' then change { @flushed = true }
      when 'stats' then @child_stats = value.transform_keys { |counter| "krone_#{counter}" }
      end
    end

    # Both sides come from one source and are released together. The pipe's messages may differ
    # between versions, so a mismatch is reported; whether it does harm is not known here.
    def check_version(version)
      return if version == VERSION

      log.error 'the Fluentd plugin and the Python program have different versions: ' \
                'install the same version of both',
                plugin: VERSION, program: version, command: program.first
    end

    def committed(id)
      change do
        # Under one lock with the next line, because `wanting?` looks at both.
        commit_write(id)
        @in_flight.delete(id)
        @suspects.delete(id)
        @deaths.delete(id)
        @deaths_in_a_row = 0
      end
    end

    # Routes alerts and acks them once Fluentd has them. While the buffer that they go to is full,
    # the acks of chunks behind them wait too.
    def route(child, tag, entries, option)
      # Alerts left over from the previous child come at once, perhaps before the outputs have
      # started.
      sleep 0.05 until after_started? || shutdown?
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

    # An earlier <match> may take the alerts. The router knows, for it has all rules above this one.
    def refuse_loop(conf)
      return if conf['@label']

      own = conf.arg.split.map { |pattern| Fluent::MatchPattern.create(pattern) }
      samples = sample_tags(conf.arg)
      tag_rules.each do |what, *rule|
        tags = samples.map { |tag| made_tag(tag, *rule) }
        looping = tags.find { |tag| own.any? { |pattern| pattern.match(tag) } }
        next if looping.nil? || context_router&.match?(looping)

        raise Fluent::ConfigError, "#{what} tagged #{looping} would come back to its own <match #{conf.arg}>: " \
                                   'set tag, narrow the pattern, or set @label'
      end
    end

    # What comes back, each with how its tag is made: a template, a prefix to add, one to remove.
    def tag_rules
      rules = [['an alert', @tag || DEFAULT_TAG, @add_tag_prefix, @remove_tag_prefix]]
      if @kept
        keep = @kept.to_h
        rules << ['a kept record', keep[:tag] || DEFAULT_KEEP_TAG, keep[:add_tag_prefix], keep[:remove_tag_prefix]]
        rules << ['a summary', keep[:summary_tag] || DEFAULT_KEEP_SUMMARY_TAG, nil, nil]
      end
      return rules unless %w[true yes].include?(@annotate.to_s.downcase)

      rules << ['an annotated record', @annotate_tag || DEFAULT_ANNOTATE_TAG, nil, nil]
    end

    # Tags that the patterns match, the shortest and a longer one; none for a regular expression.
    def sample_tags(patterns)
      globs = patterns.split.grep_v(%r{\A/})
      globs = globs.map { |pattern| pattern.gsub(/\{([^,}]*)[^}]*\}/, '\1') }
      globs = globs.flat_map { |glob| [glob.gsub('.**', ''), glob] }
      globs.map { |glob| glob.gsub(/\*+/, 'any') }
    end

    def made_tag(tag, template, add_prefix, remove_prefix)
      tag = tag.delete_prefix("#{remove_prefix}.") if remove_prefix
      return "#{add_prefix}.#{tag}" if add_prefix

      whole = template.gsub('${tag}', tag)
      whole.gsub(/\$\{tag_parts\[(-?\d+)\]\}/) { tag.split('.')[Regexp.last_match(1).to_i] }
    end

    # -- waiting

    def change
      @lock.synchronize { yield.tap { @changed.broadcast } }
    end

    # Whether the block came true before the deadline. It is evaluated again after each change.
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
