// tsswarm service create
import { serviceSpecToProto } from '../../proto/codec/service.ts'
import { ControlService } from '../../proto/gen/tsswarm/v1/control.ts'
import { newId } from '../../proto/lib/ids.ts'
import { defineCommand } from '../command.ts'
import { incomplete, printWarnings } from '../common.ts'
import { converge } from '../converge.ts'
import { createFlags, createSpec } from '../service/create-spec.ts'
import { namingFlags } from '../service/flag-of-field.ts'
import { withOffer } from '../service/image-offer.ts'
import { randomServiceName } from '../service/random-name.ts'
import { authToSend } from '../service/registry-auth.ts'
import { absentServiceFlag } from '../service/service-flags.ts'

export const command = defineCommand({
  name: 'service create',
  summary: 'Create a new service',
  description:
    'Waits until all tasks have been running for a second, unless --detach is given; Ctrl-C ends the waiting, not the work.\n' +
    'Ends with the reasons and exit code 1 when tasks failed and the restart policy tries them no more; the service stays.\n' +
    'What follows IMAGE belongs to the container.',
  args: {
    usage: 'IMAGE [COMMAND] [ARG...]',
    min: 1,
    max: 10_000,
    stopAtFirst: true,
    completes: 'images',
  },
  flags: createFlags,
  absent: absentServiceFlag,
  examples: [
    {
      what: 'Three replicas of an image',
      command: 'tsswarm service create --name web --replicas 3 nginx:1.27',
    },
    {
      what: 'One on each node, each on port 8080 of its host',
      command:
        'tsswarm service create --name web --mode global -p mode=host,published=8080,target=80 nginx',
    },
    {
      what: 'A port for clients of two subnets only',
      command:
        'tsswarm service create --name web -p published=8080,target=80,source=192.0.2.0/24,source=2001:db8::/48 nginx',
    },
    {
      what: 'A job: ten tasks that end well, three at a time',
      command:
        'tsswarm service create --name batch --mode replicated-job --replicas 10 --max-concurrent 3 busybox true',
    },
    {
      what: 'Every night at half past two',
      command:
        'tsswarm service create --name backup --mode cron --schedule "30 2 * * *" --time-zone Europe/Berlin busybox true',
    },
    {
      what: 'A command of one’s own, with variables, a volume and limits',
      command:
        'tsswarm service create --name db -e MODE=fast --mount source=data,target=/data --limit-memory 512M busybox sh -c "top -b"',
    },
    {
      what: 'With few rights, one CPU of its own and a slow disk',
      command:
        'tsswarm service create --cap-drop ALL --security-opt no-new-privileges --read-only --cpuset-cpus 0 --device-write-bps /dev/sda:10m nginx',
    },
    {
      what: 'With an image of a registry that wants a login: nodes pull with yours',
      command:
        'tsswarm login registry.example && tsswarm service create --with-registry-auth registry.example/team/app:1',
    },
    {
      what: 'On certain nodes only',
      command: "tsswarm service create --constraint 'node.labels.zone==east' nginx",
    },
  ],
  run: async (ctx, { flags, args }) => {
    const surroundings = { env: ctx.env, newName: () => randomServiceName(ctx.random) }
    const asked = await namingFlags(async () => createSpec(flags, args, surroundings))
    const client = await ctx.connect()
    const spec = flags['no-resolve-image'] ? asked : await withOffer(ctx, client, asked)
    const { image } = spec.task.container
    const registryAuth = flags['with-registry-auth'] ? await authToSend(ctx, image) : undefined
    const request = {
      requestId: newId(ctx.random),
      spec: serviceSpecToProto(spec),
      ...(registryAuth !== undefined && { registryAuth }),
    }
    const { service, warnings } = await namingFlags(() =>
      client.call(ControlService.createService, request),
    )
    if (service === undefined) throw incomplete('service')
    printWarnings(ctx, warnings)
    ctx.stdout.write(`${service.id}\n`)
    if (!flags.detach) {
      await converge(ctx, client, { serviceId: service.id, name: spec.name, quiet: flags.quiet })
    }
    return 0
  },
})
