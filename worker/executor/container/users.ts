// Users and groups of an image: from `user[:group]` as written to numbers, by the image's own
// passwd and group files. Pure: takes their text.
import { SwarmError } from '../../../proto/errors.ts'

export interface AccountFiles {
  /** Text of /etc/passwd; empty when the image has none. */
  readonly passwd: string
  /** Text of /etc/group; empty when the image has none. */
  readonly group: string
}

export interface ResolvedUser {
  readonly uid: number
  readonly gid: number
  /** The primary group first. */
  readonly additionalGids: readonly number[]
  readonly home: string
}

interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
  readonly home: string
}

interface Group {
  readonly name: string
  readonly gid: number
  readonly members: readonly string[]
}

const idMax = 2 ** 31 - 1

/**
 * Names are looked up, numbers need no entry. Without a group the user's groups of /etc/group are
 * added.
 * Errors: INVALID_ARGUMENT for a name without entry. Source: Docker's `--user` and `--group-add`.
 */
export function resolveUser(
  files: AccountFiles,
  user: string,
  extraGroups: readonly string[] = [],
): ResolvedUser {
  const [userText = '', groupText = ''] = user.split(':', 2)
  const groups = parseGroups(files.group)
  const account = findAccount(parseAccounts(files.passwd), userText === '' ? '0' : userText)
  const memberships =
    groupText === '' ? groups.filter((one) => one.members.includes(account.name)) : []
  const gid = groupText === '' ? account.gid : findGroup(groups, groupText)
  const gids = [
    gid,
    ...memberships.map((one) => one.gid),
    ...extraGroups.map((text) => findGroup(groups, text)),
  ]
  return { uid: account.uid, gid, additionalGids: [...new Set(gids)], home: account.home }
}

function findAccount(accounts: readonly Account[], text: string): Account {
  const number = asId(text)
  const found =
    accounts.find((one) => one.name === text) ?? accounts.find((one) => one.uid === number)
  if (found !== undefined) return found
  if (number !== undefined) return { name: '', uid: number, gid: 0, home: '/' }
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `unable to find user ${text}: no matching entries in passwd file of the image`,
  )
}

function findGroup(groups: readonly Group[], text: string): number {
  const gid = groups.find((one) => one.name === text)?.gid ?? asId(text)
  if (gid !== undefined) return gid
  throw new SwarmError(
    'INVALID_ARGUMENT',
    `unable to find group ${text}: no matching entries in group file of the image`,
  )
}

function asId(text: string): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined
  const id = Number(text)
  return id <= idMax ? id : undefined
}

function parseAccounts(text: string): readonly Account[] {
  return rows(text).flatMap(([name = '', , uidText = '', gidText = '', , home = '']) => {
    const uid = asId(uidText)
    const gid = asId(gidText)
    if (name === '' || uid === undefined || gid === undefined) return []
    return [{ name, uid, gid, home: home === '' ? '/' : home }]
  })
}

function parseGroups(text: string): readonly Group[] {
  return rows(text).flatMap(([name = '', , gidText = '', members = '']) => {
    const gid = asId(gidText)
    if (name === '' || gid === undefined) return []
    return [{ name, gid, members: members.split(',').filter((one) => one !== '') }]
  })
}

function rows(text: string): readonly (readonly string[])[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.trimEnd().split(':'))
}
