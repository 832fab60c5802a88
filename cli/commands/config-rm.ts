// tsswarm config rm
import { removeCommand } from '../payload-commands.ts'

export const command = removeCommand('config')
