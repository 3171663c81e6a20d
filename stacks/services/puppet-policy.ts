/**
 * Puppet's autosign policy (Puppet's documentation, "Policy-based autosigning"): called by the CA for each request with
 * the certname as its argument and the request (PEM) on stdin; exit code 0 signs. Ruby, which is wherever Puppet is,
 * reads the request's attributes without a parser of ours.
 *
 * Our list lies beside it. A name that only VMs of the pool can have is decided here and nowhere else: no line of the
 * site's, however wide, lets a VM that left back in.
 */
export const policyProgram = String.raw`
require 'openssl'
list = File.join(__dir__, 'members')
members = {}
File.foreach(list, chomp: true) do |line|
  next if line.empty? || line.start_with?('#')
  name, born, server, rest = line.split(' ')
  abort "#{list}: not a line of ours: #{line}" unless born =~ /\A\d+\z/ && server && rest.nil? && !members.key?(name)
  members[name] = server
end
secret = nil
if CHALLENGE
  secret = File.read(CHALLENGE).chomp
  abort "#{CHALLENGE} is empty" if secret.empty?
end
if ARGV == ['--check']
  # Another pool's policy comes and goes with that pool's service.
  abort "#{OTHERWISE} is not there" if OTHERWISE && !OTHERWISE.start_with?(POOLS) && !File.exist?(OTHERWISE)
  exit 0
end

# What Puppet names pp_instance_id, and the challenge password of PKCS #9.
def attribute(request, oid)
  found = request.attributes.find { |each| each.oid == oid }
  found && found.value.value.first
end
def instance(request)
  extensions = attribute(request, 'extReq') || attribute(request, 'msExtReq')
  found = extensions && extensions.value.map(&:value).find { |parts| parts.first.oid == '1.3.6.1.4.1.34380.1.1.2' }
  found && OpenSSL::ASN1.decode(found.last.value).value
end
def refuse(why)
  abort "refused by VM Pool: #{why}"
end

name = ARGV.first.to_s
text = $stdin.read
if members.key?(name)
  request = OpenSSL::X509::Request.new(text)
  refuse "the request of #{name} is another's" unless request.subject.to_a.any? { |part| part[0, 2] == ['CN', name] }
  refuse "the request of #{name} is not signed by its key" unless request.verify(request.public_key)
  if SERVER_ID
    given = instance(request)
    refuse "#{name} does not name its server as pp_instance_id" if given.nil?
    refuse "#{name} is server #{members[name]} and not #{given}" unless given == members[name] && given != '-'
  end
  if secret
    given = attribute(request, 'challengePassword')
    given = given && given.value
    same = given.is_a?(String) && OpenSSL.secure_compare(given, secret)
    refuse "#{name} does not know the challenge password" unless same
  end
  exit 0
end
refuse "#{name} is no VM of the pool (any more)" if OURS.match?(name)
exit 1 unless OTHERWISE && File.exist?(OTHERWISE)
if File.executable?(OTHERWISE)
  IO.popen([OTHERWISE, name], 'w') { |pipe| pipe.write(text) }
  exit($?.success? ? 0 : 1)
end
# As autosign.conf: a name, or *. and the end of one.
given = File.foreach(OTHERWISE, chomp: true).map { |line| line.sub(/#.*/, '').strip }.reject(&:empty?)
exit(given.any? { |line| line.start_with?('*.') ? name.end_with?(line[1..]) : name == line } ? 0 : 1)
`;

/** A string of Ruby's, whatever is in it: in single quotes nothing but these two has a meaning. */
export const rubyString = (text: string): string =>
  `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
