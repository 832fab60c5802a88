// tsswarm node update
import { NodeAvailability, NodeRole } from '../../proto/gen/tsswarm/v1/objects.ts'
import { defineCommand } from '../command.ts'
import { choice, list } from '../flags.ts'
import { changeNode } from '../node-update.ts'
import { read } from '../read-flag.ts'
import { changeMap, parseMap } from '../service/assignments.ts'

const availabilities = {
  active: NodeAvailability.ACTIVE,
  pause: NodeAvailability.PAUSE,
  drain: NodeAvailability.DRAIN,
}
const roles = { worker: NodeRole.WORKER, manager: NodeRole.MANAGER }

export const command = defineCommand({
  name: 'node update',
  summary: 'Update a node',
  args: { usage: 'NODE', min: 1, max: 1, completes: 'nodes' },
  flags: {
    availability: choice('Availability of the node (active, pause, drain)', [
      'active',
      'pause',
      'drain',
    ]),
    'label-add': list('Add or update a node label (key=value)'),
    'label-rm': list('Remove a node label if exists'),
    role: choice('Role of the node (worker, manager)', ['worker', 'manager']),
  },
  examples: [
    {
      what: 'Move all tasks away from a node before maintenance',
      command: 'tsswarm node update --availability drain worker-1',
    },
    { what: 'Label a node', command: 'tsswarm node update --label-add zone=east worker-1' },
  ],
  run: async (ctx, { flags, args }) => {
    const [reference = ''] = args
    const added = read('label-add', () => parseMap('label', flags['label-add']))
    const { availability, role } = flags
    await changeNode(ctx, reference, (spec) => ({
      ...spec,
      labels: { ...changeMap(spec.labels, flags['label-rm'], added) },
      availability: availability === undefined ? spec.availability : availabilities[availability],
      role: role === undefined ? spec.role : roles[role],
    }))
    ctx.stdout.write(`${reference}\n`)
    return 0
  },
})
