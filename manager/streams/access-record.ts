// Who works in which container is written into the store before it is done, so that every manager has an event of it.
import { accessToProto } from '../../proto/codec/access.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  NoteAccessRequest,
  NoteAccessResponse,
} from '../../proto/gen/tsswarm/v1/membership.ts'
import type { StreamOpen } from '../../proto/gen/tsswarm/v1/streams.ts'
import {
  type Access,
  accessesLevel,
  nodeId,
  type TaskId,
  taskId,
} from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { Store } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'

/** Accesses that are kept; with one more the oldest goes. */
const keptMax = 1_000
const textMax = 256

type Noted = Pick<Access, 'action' | 'attributes'>

/** What is noted of a stream; undefined for one that only looks. */
export function accessOf({ what }: StreamOpen): Noted | undefined {
  switch (what?.$case) {
    case 'exec': {
      const { argv, env, user, workdir, tty } = what.value
      const names = env.map((line) => line.split('=', 1)[0] ?? '')
      return noted('exec_start', {
        command: argv.join(' '),
        ...given('env', names.join(',')),
        ...given('user', user),
        ...given('workdir', workdir),
        ...given('tty', tty ? 'true' : ''),
      })
    }
    case 'attach':
      return noted('attach', {})
    case 'copy':
      return noted('copy', { path: what.value.path, direction: what.value.into ? 'in' : 'out' })
    case 'forward':
      return noted('port_forward', { port: String(what.value.port) })
    case 'top':
    case 'usage':
    case undefined:
      return undefined
  }
}

/** The request that has it noted by the leader. */
export function noteRequest(
  open: Pick<StreamOpen, 'requestId' | 'user'>,
  task: TaskId,
  access: Noted,
): NoteAccessRequest {
  const { action, attributes } = access
  const clientUser = cut(open.user)
  const row = { id: open.requestId, action, taskId: task, clientNodeId: nodeId(''), clientUser }
  return { requestId: open.requestId, access: accessToProto({ ...row, attributes }) }
}

/** NoteAccess, on the leader. Errors: INVALID_ARGUMENT, PERMISSION_DENIED, FAILED_PRECONDITION (an older manager). */
export async function noteAccess(
  store: Store,
  caller: Caller,
  { requestId, access }: NoteAccessRequest,
): Promise<NoteAccessResponse> {
  if (caller.kind === 'anonymous') {
    throw new SwarmError('PERMISSION_DENIED', 'only nodes of the cluster work in containers')
  }
  if (access === undefined || requestId === '') {
    throw new SwarmError('INVALID_ARGUMENT', 'an access has an id, and says what is done')
  }
  const { action, clientUser, attributes } = access
  const row: Access = {
    id: requestId,
    action,
    taskId: taskId(access.taskId),
    // Never by the request's word.
    clientNodeId: caller.nodeId,
    clientUser,
    attributes,
  }
  await store.update(
    (tx) => {
      const { featureLevel } = theCluster(tx)
      if (featureLevel < accessesLevel) {
        const text =
          `containers cannot be worked in: the cluster is at feature level ${featureLevel}, and that came with ` +
          `${accessesLevel}. Upgrade tsswarm on all managers; the cluster moves on by itself`
        throw new SwarmError('FAILED_PRECONDITION', text)
      }
      if (tx.get('accesses', row.id) !== undefined) return
      if (tx.count('accesses') >= keptMax) {
        for (const oldest of tx.all('accesses')) {
          tx.remove('accesses', oldest.id)
          break
        }
      }
      tx.create('accesses', row)
    },
    { requestId, method: 'NoteAccess' },
  )
  return {}
}

function noted(action: string, attributes: Readonly<Record<string, string>>): Noted {
  const entries = Object.entries(attributes).map(([key, value]) => [key, cut(value)])
  return { action, attributes: Object.fromEntries(entries) }
}

function given(key: string, value: string): Readonly<Record<string, string>> {
  return value === '' ? {} : { [key]: value }
}

function cut(text: string): string {
  return text.length <= textMax ? text : `${text.slice(0, textMax)}…`
}
