// Every command of the one program, each loaded only when it is run. Not their contents.
import type { Command } from './command.ts'

export type Loader = () => Promise<Command>

export interface CommandGroup {
  readonly name: string
  readonly summary: string
  readonly commands: Readonly<Record<string, Loader>>
  /** Other words for a command of the group. */
  readonly aliases: Readonly<Record<string, string>>
}

export interface PlainCommand {
  readonly name: string
  readonly summary: string
  readonly load: Loader
}

export const groups: readonly CommandGroup[] = [
  {
    name: 'swarm',
    summary: 'Manage Swarm',
    commands: {
      init: async () => (await import('./commands/swarm-init.ts')).command,
      join: async () => (await import('./commands/swarm-join.ts')).command,
      'join-token': async () => (await import('./commands/swarm-join-token.ts')).command,
      leave: async () => (await import('./commands/swarm-leave.ts')).command,
      reconnect: async () => (await import('./commands/swarm-reconnect.ts')).command,
      update: async () => (await import('./commands/swarm-update.ts')).command,
    },
    aliases: {},
  },
  {
    name: 'node',
    summary: 'Manage Swarm nodes',
    commands: {
      demote: async () => (await import('./commands/node-demote.ts')).command,
      inspect: async () => (await import('./commands/node-inspect.ts')).command,
      ls: async () => (await import('./commands/node-ls.ts')).command,
      promote: async () => (await import('./commands/node-promote.ts')).command,
      ps: async () => (await import('./commands/node-ps.ts')).command,
      rm: async () => (await import('./commands/node-rm.ts')).command,
      update: async () => (await import('./commands/node-update.ts')).command,
    },
    aliases: { list: 'ls', remove: 'rm' },
  },
  {
    name: 'service',
    summary: 'Manage Swarm services',
    commands: {
      create: async () => (await import('./commands/service-create.ts')).command,
      explain: async () => (await import('./commands/service-explain.ts')).command,
      inspect: async () => (await import('./commands/service-inspect.ts')).command,
      logs: async () => (await import('./commands/service-logs.ts')).command,
      ls: async () => (await import('./commands/service-ls.ts')).command,
      ps: async () => (await import('./commands/service-ps.ts')).command,
      rebalance: async () => (await import('./commands/service-rebalance.ts')).command,
      rm: async () => (await import('./commands/service-rm.ts')).command,
      rollback: async () => (await import('./commands/service-rollback.ts')).command,
      scale: async () => (await import('./commands/service-scale.ts')).command,
      update: async () => (await import('./commands/service-update.ts')).command,
    },
    aliases: { list: 'ls', remove: 'rm' },
  },
  {
    name: 'explain',
    summary: 'Explain why something is as it is',
    commands: {
      node: async () => (await import('./commands/explain-node.ts')).command,
      service: async () => (await import('./commands/explain-service.ts')).command,
      task: async () => (await import('./commands/explain-task.ts')).command,
    },
    aliases: {},
  },
  {
    name: 'plan',
    summary: 'Show what an action would do to tasks, changing nothing',
    commands: {
      drain: async () => (await import('./commands/plan-drain.ts')).command,
      service: async () => (await import('./commands/plan-service.ts')).command,
    },
    aliases: {},
  },
  {
    name: 'stack',
    summary: 'Manage stacks: services of compose files',
    commands: {
      config: async () => (await import('./commands/stack-config.ts')).command,
      deploy: async () => (await import('./commands/stack-deploy.ts')).command,
      history: async () => (await import('./commands/stack-history.ts')).command,
      ls: async () => (await import('./commands/stack-ls.ts')).command,
      plan: async () => (await import('./commands/stack-plan.ts')).command,
      ps: async () => (await import('./commands/stack-ps.ts')).command,
      rm: async () => (await import('./commands/stack-rm.ts')).command,
      rollback: async () => (await import('./commands/stack-rollback.ts')).command,
      services: async () => (await import('./commands/stack-services.ts')).command,
    },
    aliases: { down: 'rm', list: 'ls', remove: 'rm', up: 'deploy' },
  },
  {
    name: 'network',
    summary: 'Manage networks of the swarm',
    commands: {
      audit: async () => (await import('./commands/network-audit.ts')).command,
      connect: async () => (await import('./commands/network-connect.ts')).command,
      create: async () => (await import('./commands/network-create.ts')).command,
      disconnect: async () => (await import('./commands/network-disconnect.ts')).command,
      inspect: async () => (await import('./commands/network-inspect.ts')).command,
      ls: async () => (await import('./commands/network-ls.ts')).command,
      prune: async () => (await import('./commands/network-prune.ts')).command,
      rm: async () => (await import('./commands/network-rm.ts')).command,
      trace: async () => (await import('./commands/network-trace.ts')).command,
    },
    aliases: { list: 'ls', remove: 'rm' },
  },
  {
    name: 'secret',
    summary: 'Manage Swarm secrets',
    commands: {
      create: async () => (await import('./commands/secret-create.ts')).command,
      history: async () => (await import('./commands/secret-history.ts')).command,
      inspect: async () => (await import('./commands/secret-inspect.ts')).command,
      ls: async () => (await import('./commands/secret-ls.ts')).command,
      rm: async () => (await import('./commands/secret-rm.ts')).command,
      update: async () => (await import('./commands/secret-update.ts')).command,
    },
    aliases: { list: 'ls', remove: 'rm' },
  },
  {
    name: 'config',
    summary: 'Manage Swarm configs',
    commands: {
      create: async () => (await import('./commands/config-create.ts')).command,
      history: async () => (await import('./commands/config-history.ts')).command,
      inspect: async () => (await import('./commands/config-inspect.ts')).command,
      ls: async () => (await import('./commands/config-ls.ts')).command,
      rm: async () => (await import('./commands/config-rm.ts')).command,
      update: async () => (await import('./commands/config-update.ts')).command,
    },
    aliases: { list: 'ls', remove: 'rm' },
  },
  {
    name: 'image',
    summary: 'Manage images of this host',
    commands: {
      build: async () => (await import('./commands/image-build.ts')).command,
      history: async () => (await import('./commands/image-history.ts')).command,
      import: async () => (await import('./commands/image-import.ts')).command,
      inspect: async () => (await import('./commands/image-inspect.ts')).command,
      load: async () => (await import('./commands/image-load.ts')).command,
      ls: async () => (await import('./commands/image-ls.ts')).command,
      prune: async () => (await import('./commands/image-prune.ts')).command,
      pull: async () => (await import('./commands/image-pull.ts')).command,
      push: async () => (await import('./commands/image-push.ts')).command,
      rm: async () => (await import('./commands/image-rm.ts')).command,
      save: async () => (await import('./commands/image-save.ts')).command,
      tag: async () => (await import('./commands/image-tag.ts')).command,
    },
    aliases: { list: 'ls', remove: 'rm' },
  },
  {
    name: 'volume',
    summary: 'Manage volumes',
    commands: {
      create: async () => (await import('./commands/volume-create.ts')).command,
      inspect: async () => (await import('./commands/volume-inspect.ts')).command,
      ls: async () => (await import('./commands/volume-ls.ts')).command,
      prune: async () => (await import('./commands/volume-prune.ts')).command,
      rm: async () => (await import('./commands/volume-rm.ts')).command,
    },
    aliases: { list: 'ls', remove: 'rm' },
  },
  {
    name: 'lab',
    summary: 'Try out a cluster of several hosts on this machine',
    commands: {
      cut: async () => (await import('./commands/lab-cut.ts')).command,
      down: async () => (await import('./commands/lab-down.ts')).command,
      exec: async () => (await import('./commands/lab-exec.ts')).command,
      heal: async () => (await import('./commands/lab-heal.ts')).command,
      kill: async () => (await import('./commands/lab-kill.ts')).command,
      ls: async () => (await import('./commands/lab-ls.ts')).command,
      start: async () => (await import('./commands/lab-start.ts')).command,
      stop: async () => (await import('./commands/lab-stop.ts')).command,
      up: async () => (await import('./commands/lab-up.ts')).command,
    },
    aliases: { list: 'ls' },
  },
]

export const plainCommands: readonly PlainCommand[] = [
  {
    name: 'daemon',
    summary: 'Run the daemon of this host',
    load: async () => (await import('./commands/daemon.ts')).command,
  },
  {
    name: 'doctor',
    summary: 'Check what the daemon needs of this host',
    load: async () => (await import('./commands/doctor.ts')).command,
  },
  {
    name: 'exec',
    summary: 'Execute a command in a running task of a service',
    load: async () => (await import('./commands/exec.ts')).command,
  },
  {
    name: 'attach',
    summary: 'Attach local standard input, output, and error streams to a running task',
    load: async () => (await import('./commands/attach.ts')).command,
  },
  {
    name: 'cp',
    summary: 'Copy files between a running task and this host',
    load: async () => (await import('./commands/cp.ts')).command,
  },
  {
    name: 'port-forward',
    summary: 'Forward a local port to a port of a task',
    load: async () => (await import('./commands/port-forward.ts')).command,
  },
  {
    name: 'top',
    summary: 'Display the running processes of a task',
    load: async () => (await import('./commands/top.ts')).command,
  },
  {
    name: 'stats',
    summary: 'Display a live stream of what running tasks use',
    load: async () => (await import('./commands/stats.ts')).command,
  },
  {
    name: 'events',
    summary: 'Get real time events of the swarm',
    load: async () => (await import('./commands/events.ts')).command,
  },
  {
    name: 'login',
    summary: 'Authenticate to a registry',
    load: async () => (await import('./commands/login.ts')).command,
  },
  {
    name: 'logout',
    summary: 'Log out from a registry',
    load: async () => (await import('./commands/logout.ts')).command,
  },
  {
    name: 'info',
    summary: 'Display information on this host and its swarm',
    load: async () => (await import('./commands/info.ts')).command,
  },
  {
    name: 'version',
    summary: 'Show the versions of this program and of the daemon',
    load: async () => (await import('./commands/version.ts')).command,
  },
  {
    name: 'completion',
    summary: 'Print the completion script for a shell',
    load: async () => (await import('./commands/completion.ts')).command,
  },
]

/** What Docker's short commands are here. */
export const dockersCommands: Readonly<Record<string, string>> = {
  build: 'image build',
  history: 'image history',
  images: 'image ls',
  import: 'image import',
  load: 'image load',
  logs: 'service logs',
  ps: 'service ps',
  pull: 'image pull',
  push: 'image push',
  rmi: 'image rm',
  run: 'service create',
  save: 'image save',
  tag: 'image tag',
}

/** What to do instead of Swarm's commands that this version has not. */
export const absentCommands: Readonly<Record<string, string>> = {
  'swarm ca': 'the root certificate of a swarm stays',
  'swarm unlock': 'managers are not locked',
  'swarm unlock-key': 'managers are not locked',
}
