// `tsswarm daemon`
import { isErrorCode, SwarmError } from '../../proto/errors.ts'
import { defineCommand, noArguments } from '../command.ts'
import { bool, list, text } from '../flags.ts'

export const command = defineCommand({
  name: 'daemon',
  summary: 'Run the daemon of this host',
  description:
    'Settings are taken from these flags, else from TSSWARM_* variables (TSSWARM_STATE_DIR …), else from the file. ' +
    'The file names them as --print-config shows them; a list given in one place replaces that of another whole. ' +
    'SIGHUP reads them again: log level, labels, resources and limits of images are followed at once, the log says which ' +
    'others need a restart. ' +
    'Containers go on when the daemon ends, and are adopted when it is started again.',
  args: noArguments,
  flags: {
    config: text('File with settings (YAML)', { takes: 'file' }),
    'state-dir': text('What survives a reboot', { takes: 'path', shown: '/var/lib/tsswarm' }),
    'run-dir': text('What does not; on tmpfs', { takes: 'path', shown: '/run/tsswarm' }),
    socket: text('Local socket', { takes: 'path', shown: 'RUN-DIR/tsswarm.sock' }),
    group: text('Group that may use the socket', { shown: 'tsswarm' }),
    'log-level': text('trace, debug, info, warn, error, fatal or silent', {
      shown: 'info',
      completes: ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'],
    }),
    hostname: text('Name of this node', { shown: "the host's" }),
    label: list('Label of this engine (key=value), for constraints on engine.labels.KEY'),
    'node-generic-resource': list(
      'Resource of this node besides CPUs and memory (KIND=NUMBER, or KIND=NAME)',
    ),
    'registry-mirror': list(
      'Mirror asked before a registry ([REGISTRY=]URL; of docker.io when none is named)',
    ),
    'insecure-registry': list('Registry reached over plain HTTP (host:port)'),
    'image-gc-high': text(
      'Remove unused images above this share of the disk or size of all layers (such as 20GB); off: never',
      { shown: '85%' },
    ),
    'image-gc-low': text('Until no more than this is in use', { shown: '80%' }),
    'image-gc-revisions': text('Images that stay of each service with a container here', {
      shown: '2',
    }),
    'default-runtime': text('Runtime of containers whose service asks for none (crun, runc)', {
      shown: 'crun',
      completes: ['crun', 'runc'],
    }),
    'userns-remap': text(
      'User namespaces of containers (off; auto; UID:GID:SIZE: root inside is UID on this host)',
      { shown: 'off', completes: ['off', 'auto'] },
    ),
    'cgroup-parent': text('cgroup above those of the containers', { shown: '/tsswarm' }),
    'print-config': bool('Print the settings in force and where each is from, then end'),
    purge: bool('Take containers, network, images, volumes and membership off this host, then end'),
    'keep-volumes': bool('With --purge: leave volumes that have a name where they are'),
    'local-subnet': text('Subnet of the network local to this host', { shown: 'a free one' }),
  },
  examples: [
    { what: 'Run it with the defaults', command: 'tsswarm daemon' },
    { what: 'With a label that services can ask for', command: 'tsswarm daemon --label ssd=yes' },
    {
      what: 'See what it would be started with',
      command: 'tsswarm daemon --config /etc/tsswarm/daemon.yaml --print-config',
    },
    {
      what: 'With two GPUs that services can reserve',
      command:
        'tsswarm daemon --node-generic-resource gpu=GPU-a1 --node-generic-resource gpu=GPU-b2',
    },
  ],
  run: async (ctx, { flags }) => {
    const { runDaemon } = await import('../daemon/daemon-main.ts')
    const invocation = {
      configFile: flags.config,
      isPurge: flags.purge,
      keepsVolumes: flags['keep-volumes'],
      ...(flags['print-config'] && { print: (text: string) => ctx.stdout.write(text) }),
      env: ctx.env,
      signal: ctx.signal,
      flags: {
        stateDir: flags['state-dir'],
        runDir: flags['run-dir'],
        socket: flags.socket,
        group: flags.group,
        logLevel: flags['log-level'],
        hostname: flags.hostname,
        labels: flags.label,
        nodeGenericResources: flags['node-generic-resource'],
        insecureRegistries: flags['insecure-registry'],
        registryMirrors: flags['registry-mirror'],
        imageGcHigh: flags['image-gc-high'],
        imageGcLow: flags['image-gc-low'],
        imageGcRevisions: flags['image-gc-revisions'],
        defaultRuntime: flags['default-runtime'],
        usernsRemap: flags['userns-remap'],
        cgroupParent: flags['cgroup-parent'],
        localSubnet: flags['local-subnet'],
      },
    }
    return await runDaemon(invocation).catch((err: unknown) => {
      throw ownError(err)
    })
  },
})

/** The daemon is a bundle of its own with its own SwarmError: the same class to a reader, another one to instanceof. */
function ownError(err: unknown): unknown {
  if (!(err instanceof Error) || err.name !== 'SwarmError' || !('code' in err)) return err
  const code = String(err.code)
  return isErrorCode(code) ? new SwarmError(code, err.message, { cause: err.cause }) : err
}
