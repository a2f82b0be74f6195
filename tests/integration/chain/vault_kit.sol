// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.0;

// A debt vault, collateral vaults, a connector and an oracle of our own with the published
// interfaces of Euler v2: no package ships the venue's. They keep what the interfaces tell, so that
// what the reader asks for, and how it reads the answers, is tried on a chain.

contract KitToken {
  string public symbol;
  uint8 public decimals;

  constructor(string memory name, uint8 digits) {
    (symbol, decimals) = (name, digits);
  }
}

contract KitOracle {
  struct Quoted {
    uint256 price;
    uint256 scale;
    uint256 spread;
  }

  mapping(address => Quoted) public quoted;

  error PriceOracle_InvalidAnswer();

  // `price` is what one whole token is worth, `spread` what bid and ask are off it, basis points.
  function set(address token, uint256 price, uint256 scale, uint256 spread) external {
    quoted[token] = Quoted(price, scale, spread);
  }

  function getQuote(uint256 amount, address token, address) public view returns (uint256) {
    Quoted memory one = quoted[token];
    if (one.price == 0) revert PriceOracle_InvalidAnswer();
    return (amount * one.price) / one.scale;
  }

  function getQuotes(uint256 amount, address token, address unit)
    external
    view
    returns (uint256 bid, uint256 ask)
  {
    uint256 mid = getQuote(amount, token, unit);
    uint256 off = (mid * quoted[token].spread) / 1e4;
    (bid, ask) = (mid - off, mid + off);
  }
}

contract KitConnector {
  mapping(address => address[]) private enabled;
  mapping(address => uint256) public getLastAccountStatusCheckTimestamp;
  mapping(address => address) public getAccountOwner;

  event CollateralStatus(address indexed account, address indexed collateral, bool enabled);

  function getCollaterals(address account) external view returns (address[] memory) {
    return enabled[account];
  }

  function set(address account, address vault, bool on) external {
    address[] storage own = enabled[account];
    uint256 place = 0;
    while (place < own.length && own[place] != vault) ++place;
    if (on && place == own.length) own.push(vault);
    if (!on && place < own.length) {
      own[place] = own[own.length - 1];
      own.pop();
    }
    emit CollateralStatus(account, vault, on);
  }

  function register(address account, address owner) external {
    getAccountOwner[account] = owner;
  }

  function check(address account) external {
    getLastAccountStatusCheckTimestamp[account] = block.timestamp;
  }
}

contract KitCollateral is KitToken {
  address public asset;
  uint256 private rate;
  mapping(address => uint256) public balanceOf;

  event Transfer(address indexed from, address indexed to, uint256 value);

  // `rate` is what a share stands for, wad; 0 where the vault does not say.
  constructor(string memory name, address asset_, uint256 rate_) KitToken(name, 0) {
    (asset, rate) = (asset_, rate_);
  }

  function convertToAssets(uint256 shares) external view returns (uint256) {
    require(rate > 0, 'does not say');
    return (shares * rate) / 1e18;
  }

  function move(address from, address to, uint256 value) external {
    if (from != address(0)) balanceOf[from] -= value;
    if (to != address(0)) balanceOf[to] += value;
    emit Transfer(from, to, value);
  }
}

contract KitVault {
  struct Limit {
    uint16 borrow;
    uint16 liquidation;
    uint16 initial;
    uint48 target;
    uint32 ramp;
  }

  uint256 private constant RAY = 1e27;
  address public immutable asset;
  address public immutable unitOfAccount;
  KitOracle public immutable oracle;
  KitConnector public immutable EVC;
  address[] private listed;
  mapping(address => Limit) public LTVFull;
  uint16 public maxLiquidationDiscount = 1500;
  uint16 public liquidationCoolOffTime = 1;
  uint32 public configFlags;
  address private hook;
  uint32 private hooked;
  uint256 public interestRate;
  uint256 private stored = RAY;
  uint256 private since = block.timestamp;
  mapping(address => uint256) private owed;
  mapping(address => uint256) private owedAt;

  event Borrow(address indexed account, uint256 assets);
  event Repay(address indexed account, uint256 assets);
  event Liquidate(
    address indexed liquidator,
    address indexed violator,
    address collateral,
    uint256 repayAssets,
    uint256 yieldBalance
  );

  error E_AccountLiquidity();
  error E_NoLiability();

  constructor(address asset_, address unit, KitOracle oracle_, KitConnector connector) {
    (asset, unitOfAccount, oracle, EVC) = (asset_, unit, oracle_, connector);
  }

  function LTVList() external view returns (address[] memory) {
    return listed;
  }

  function hookConfig() external view returns (address, uint32) {
    return (hook, hooked);
  }

  function setLimit(address vault, uint16 borrow, uint16 liquidation, uint32 ramp) external {
    Limit memory old = LTVFull[vault];
    if (old.target == 0) listed.push(vault);
    uint16 initial = old.target == 0 ? liquidation : uint16(limit(vault, true));
    LTVFull[vault] = Limit(borrow, liquidation, initial, uint48(block.timestamp + ramp), ramp);
  }

  function setHook(address hook_, uint32 operations) external {
    (hook, hooked) = (hook_, operations);
  }

  function setRate(uint256 rate) external {
    (stored, since) = (interestAccumulator(), block.timestamp);
    interestRate = rate;
  }

  function interestAccumulator() public view returns (uint256) {
    uint256 z = RAY;
    uint256 x = RAY + interestRate;
    for (uint256 n = block.timestamp - since; n != 0; n /= 2) {
      if (n % 2 != 0) z = (z * x + RAY / 2) / RAY;
      x = (x * x + RAY / 2) / RAY;
    }
    return (stored * z) / RAY;
  }

  function debtOfExact(address account) public view returns (uint256) {
    return owed[account] == 0 ? 0 : (owed[account] * interestAccumulator()) / owedAt[account];
  }

  function debtOf(address account) public view returns (uint256) {
    return (debtOfExact(account) + (1 << 31) - 1) >> 31;
  }

  function limit(address vault, bool forLiquidation) private view returns (uint256) {
    Limit memory one = LTVFull[vault];
    if (!forLiquidation) return one.borrow;
    if (block.timestamp >= one.target || one.liquidation >= one.initial) return one.liquidation;
    uint256 left = one.target - block.timestamp;
    return one.liquidation + ((one.initial - one.liquidation) * left) / one.ramp;
  }

  function accountLiquidity(address account, bool forLiquidation)
    public
    view
    returns (uint256 credit, uint256 debt)
  {
    if (owed[account] == 0) revert E_NoLiability();
    address[] memory own = EVC.getCollaterals(account);
    for (uint256 i = 0; i < own.length; ++i) {
      uint256 factor = limit(own[i], forLiquidation);
      uint256 balance = KitCollateral(own[i]).balanceOf(account);
      if (factor == 0 || balance == 0) continue;
      uint256 value = oracle.getQuote(balance, own[i], unitOfAccount);
      if (!forLiquidation) (value, ) = oracle.getQuotes(balance, own[i], unitOfAccount);
      credit += (value * factor) / 1e4;
    }
    uint256 assets = debtOf(account);
    if (asset == unitOfAccount) return (credit, assets);
    debt = oracle.getQuote(assets, asset, unitOfAccount);
    if (!forLiquidation) (, debt) = oracle.getQuotes(assets, asset, unitOfAccount);
  }

  function borrow(address account, uint256 assets) external {
    owe(account, debtOfExact(account) + (assets << 31));
    (uint256 credit, uint256 debt) = accountLiquidity(account, false);
    if (credit <= debt) revert E_AccountLiquidity();
    EVC.check(account);
    emit Borrow(account, assets);
  }

  function repay(address account, uint256 assets) external {
    uint256 debt = debtOf(account);
    require(debt > 0, 'nothing owed');
    if (assets > debt) assets = debt;
    owe(account, (debt - assets) << 31);
    emit Repay(account, assets);
  }

  function liquidate(address violator, address vault, uint256 assets, uint256 shares) external {
    (uint256 credit, uint256 debt) = accountLiquidity(violator, true);
    require(credit <= debt, 'healthy');
    owe(violator, (debtOf(violator) - assets) << 31);
    KitCollateral(vault).move(violator, msg.sender, shares);
    emit Liquidate(msg.sender, violator, vault, assets, shares);
  }

  function owe(address account, uint256 exact) private {
    (owed[account], owedAt[account]) = (exact, interestAccumulator());
  }
}
