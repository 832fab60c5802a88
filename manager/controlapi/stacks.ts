// BeginStackRevision, EndStackRevision, ListStackRevisions, GetStackRevision, RemoveStackHistory: clients deploy stacks step by step, and
// the managers keep what came of it.
import { stackChangeFromProto, stackRevisionToProto } from '../../proto/codec/stack.ts'
import { SwarmError } from '../../proto/errors.ts'
import type {
  BeginStackRevisionRequest,
  EndStackRevisionRequest,
  GetStackRevisionRequest,
  GetStackRevisionResponse,
  ListStackRevisionsRequest,
  ListStackRevisionsResponse,
  RemoveStackHistoryRequest,
} from '../../proto/gen/tsswarm/v1/control.ts'
import { StackRevisionView } from '../../proto/gen/tsswarm/v1/control.ts'
import {
  type StackChange as StackChangeProto,
  StackContent,
} from '../../proto/gen/tsswarm/v1/objects.ts'
import {
  nodeId,
  type StackChange,
  type StackRevision,
  stackHistoryLevel,
  stackRevisionId,
} from '../../proto/objects/index.ts'
import type { Caller } from '../rpc/caller.ts'
import type { ReadTx, Tx } from '../store/store.ts'
import { theCluster } from '../the-cluster.ts'
import type { ControlApi, ControlDeps } from './control-api.ts'
import { listMessages, type Page, rowsOf } from './list-stream.ts'
import { requireLevel } from './require-level.ts'
import {
  contentBytesMax,
  missingOf,
  nothingKept,
  pictureOf,
  presentOf,
  previousOf,
  revisionsOf,
  surplusOf,
} from './stack-history.ts'
import { repeatable } from './writing.ts'

type StackHandlers = Pick<
  ControlApi,
  | 'beginStackRevision'
  | 'endStackRevision'
  | 'listStackRevisions'
  | 'getStackRevision'
  | 'removeStackHistory'
>

const changesMax = 100
const fieldsMax = 20
const textMax = 256
const messageMax = 1_000
/** Of one transaction of the store. */
const removalsMax = 200

export function stackHandlers(deps: ControlDeps): StackHandlers {
  const { store, cluster } = deps
  return {
    beginStackRevision: async (caller, request) => ({
      revision: await store.update(
        (tx) => begin(tx, caller, request),
        repeatable(request.requestId, 'BeginStackRevision'),
      ),
    }),
    endStackRevision: async (_, request) => ({
      problem: await store.update(
        (tx) => end(tx, request),
        repeatable(request.requestId, 'EndStackRevision'),
      ),
    }),
    listStackRevisions: (_, request, signal) => listRevisions(deps, request, signal),
    getStackRevision: async (_, request, signal) => {
      await cluster.readBarrier(signal)
      return store.view((tx) => revisionWanted(tx, request))
    },
    removeStackHistory: async (_, request) => ({
      revisions: await store.update(
        (tx) => removeHistory(tx, request),
        repeatable(request.requestId, 'RemoveStackHistory'),
      ),
    }),
  }
}

/** The number of the new revision. Errors: INVALID_ARGUMENT, FAILED_PRECONDITION (an older manager). */
function begin(tx: Tx, caller: Caller, request: BeginStackRevisionRequest): number {
  const { stack, kind, rollbackTo, clientUser, changes } = request
  requireLevel(tx, stackHistoryLevel, `a revision of stack "${stack}"`, 'the history of stacks')
  if (stack === '' || stack.length > textMax || (kind !== 'deploy' && kind !== 'rollback')) {
    throw new SwarmError(
      'INVALID_ARGUMENT',
      `a revision names its stack, in at most ${textMax} characters, and is of kind deploy or rollback`,
    )
  }
  const common = {
    stack,
    version: 0,
    createdAtMs: 0,
    updatedAtMs: 0,
    rollbackTo: 0,
    clientNodeId: nodeId(caller.kind === 'anonymous' ? '' : caller.nodeId),
    clientUser: cut(clientUser, textMax),
    changes: [],
    message: '',
  }
  let last = revisionsOf(tx, stack).at(-1)?.revision ?? 0
  const found = pictureOf(tx, stack)
  if (last === 0 && found.content.length > 0 && found.content.length <= contentBytesMax) {
    last = 1
    tx.create('stackRevisions', {
      ...common,
      ...found,
      revision: last,
      kind: 'found',
      state: 'deployed',
    })
  }
  const made = tx.create('stackRevisions', {
    ...common,
    ...nothingKept,
    revision: last + 1,
    kind,
    rollbackTo,
    state: 'deploying',
    changes: changesOf(changes),
  })
  trim(tx, stack)
  return made.revision
}

function changesOf(changes: readonly StackChangeProto[]): readonly StackChange[] {
  return changes.slice(0, changesMax).map((change) => {
    const { fields, name, ...rest } = stackChangeFromProto(change)
    const some = fields.slice(0, fieldsMax).map((field) => cut(field, textMax))
    return { ...rest, name: cut(name, textMax), fields: some }
  })
}

/** Why nothing could be kept; empty: nothing is wrong. Errors: INVALID_ARGUMENT. */
function end(tx: Tx, { stack, revision, state, message }: EndStackRevisionRequest): string {
  const row = tx.get('stackRevisions', stackRevisionId({ stack, revision }))
  if (row === undefined) return `revision ${revision} of stack "${stack}" is not there any more`
  const said = cut(message, messageMax)
  switch (state) {
    case 'failed':
      tx.update('stackRevisions', { ...row, state, message: said })
      return ''
    case 'reverted':
      tx.update('stackRevisions', { ...row, ...nothingKept, state, message: said })
      return ''
    case 'deployed': {
      const picture = pictureOf(tx, stack)
      const bytes = picture.content.length
      const isTooLarge = bytes > contentBytesMax
      const problem = isTooLarge
        ? `it cannot come back: ${bytes} bytes, and at most ${contentBytesMax} are kept of a revision`
        : ''
      const kept = isTooLarge ? nothingKept : picture
      tx.update('stackRevisions', { ...row, ...kept, state, message: said || problem })
      trim(tx, stack)
      return problem
    }
    default:
      throw new SwarmError(
        'INVALID_ARGUMENT',
        `"${cut(state, textMax)}" is no end of a revision: write deployed, failed or reverted`,
      )
  }
}

function trim(tx: Tx, stack: string): void {
  const { stackHistoryLimit } = theCluster(tx).spec
  for (const row of surplusOf(revisionsOf(tx, stack), stackHistoryLimit)) {
    tx.remove('stackRevisions', stackRevisionId(row))
  }
}

function removeHistory(tx: Tx, { stack }: RemoveStackHistoryRequest): number {
  const rows = revisionsOf(tx, stack).slice(0, removalsMax)
  for (const row of rows) tx.remove('stackRevisions', stackRevisionId(row))
  return rows.length
}

async function* listRevisions(
  deps: ControlDeps,
  { stack }: ListStackRevisionsRequest,
  signal: AbortSignal,
): AsyncGenerator<ListStackRevisionsResponse, void, undefined> {
  await deps.cluster.readBarrier(signal)
  const rows = deps.store.view((tx) => revisionsOf(tx, stack))
  const present = presentOf(rows)?.revision
  const open = (): Page<StackRevision, ListStackRevisionsResponse> => {
    const revisions: StackRevisionView[] = []
    return {
      add: (tx, row) => {
        const view = viewOf(tx, row, present)
        revisions.push(view)
        return StackRevisionView.encode(view).finish().length
      },
      message: () => ({ revisions }),
    }
  }
  yield* listMessages(deps, rowsOf(rows), open, signal)
}

function viewOf(tx: ReadTx, row: StackRevision, present: number | undefined): StackRevisionView {
  return {
    revision: stackRevisionToProto({ ...row, content: nothingKept.content }),
    present: row.revision === present,
    kept: row.content.length > 0,
    missing: missingOf(tx, row),
    clientHostname: tx.get('nodes', row.clientNodeId)?.description?.hostname ?? '',
  }
}

/** Errors: NOT_FOUND, FAILED_PRECONDITION when nothing was kept of it. */
function revisionWanted(
  tx: ReadTx,
  { stack, revision }: GetStackRevisionRequest,
): GetStackRevisionResponse {
  const rows = revisionsOf(tx, stack)
  if (rows.length === 0) {
    throw new SwarmError('NOT_FOUND', `stack "${stack}" has no history: nothing of it was deployed`)
  }
  const row =
    revision === 0 ? previousOf(rows) : rows.find((candidate) => candidate.revision === revision)
  const remedy = `"tsswarm stack history ${stack}" shows those that there are`
  if (row === undefined) {
    const what = revision === 0 ? 'no former revision to go back to' : `no revision ${revision}`
    throw new SwarmError('NOT_FOUND', `stack "${stack}" has ${what}: ${remedy}`)
  }
  if (row.content.length === 0) {
    const why = row.message === '' ? '' : ` (${row.message})`
    throw new SwarmError(
      'FAILED_PRECONDITION',
      `revision ${row.revision} of stack "${stack}" cannot come back: nothing was kept of it, it is ${row.state}${why}. Choose another: ${remedy}`,
    )
  }
  return {
    revision: viewOf(tx, row, presentOf(rows)?.revision),
    content: StackContent.decode(row.content),
  }
}

function cut(text: string, max: number): string {
  return text.length <= max ? text : `${text.slice(0, max)}…`
}
